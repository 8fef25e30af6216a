# Puts style and scripts into index.html and writes the document as C source: an array, and the policy that lets
# browsers run just that style and that script, by their hashes (CSP level 2, section 4.2.5).
#
#   cmake -D FOLDER=... -D SCRIPTS=a.js;b.js -D OUTPUT=... -P assemble.cmake
cmake_minimum_required(VERSION 3.25)

# Base64 of bytes that are given as hexadecimal digits: RFC 4648 section 4.
function(base64 hex out)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(LENGTH "${hex}" digits)
  math(EXPR missing "(6 - ${digits} % 6) % 6")
  string(REPEAT "0" ${missing} zeros)
  string(APPEND hex "${zeros}")
  math(EXPR last "${digits} + ${missing} - 1")
  set(text "")
  foreach(at RANGE 0 ${last} 6)
    string(SUBSTRING "${hex}" ${at} 6 group)
    foreach(shift 18 12 6 0)
      math(EXPR index "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${index} 1 character)
      string(APPEND text "${character}")
    endforeach()
  endforeach()
  # Two digits that are missing are one byte, which is one character of padding.
  math(EXPR padding "${missing} / 2")
  string(LENGTH "${text}" length)
  math(EXPR length "${length} - ${padding}")
  string(SUBSTRING "${text}" 0 ${length} text)
  string(REPEAT "=" ${padding} signs)
  set(${out} "${text}${signs}" PARENT_SCOPE)
endfunction()

# The source that browsers know these contents of an element by.
function(source_of contents out)
  string(SHA256 hex "${contents}")
  base64("${hex}" digest)
  set(${out} "'sha256-${digest}'" PARENT_SCOPE)
endfunction()

file(READ "${FOLDER}/index.html" page)
file(READ "${FOLDER}/style.css" style)
set(script "\"use strict\";\n(() => {\n")
foreach(name ${SCRIPTS})
  file(READ "${FOLDER}/${name}" part)
  string(APPEND script "${part}")
endforeach()
string(APPEND script "})();\n")
foreach(place style script)
  string(FIND "${page}" "@${place}@" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "index.html has no place for the ${place}")
  endif()
  string(REPLACE "@${place}@" "${${place}}" page "${page}")
  source_of("${${place}}" ${place}_source)
endforeach()

string(JOIN " " policy
  "default-src 'none';" "script-src ${script_source};" "style-src ${style_source};" "img-src data:;" "connect-src 'self';"
  "base-uri 'none';" "form-action 'none';" "frame-ancestors 'none'")
string(HEX "${page}" bytes)
string(LENGTH "${bytes}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
string(REPEAT "." 112 line) # 16 bytes
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "/* Made by admin/dashboard/assemble.cmake. */
#include \"admin/dashboard_page.h\"

const char dashboard_page_policy[] = \"${policy}\";
const size_t dashboard_page_len = ${length};
const char dashboard_page[] = {
${bytes}
};
")
