/* `ikelb version`: prints the version. */
#pragma once

/* argv[0] is "version". The exit status of the process. */
int version_command(int argc, char **argv);
