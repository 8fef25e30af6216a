/* `ikelb explain`: why a client does or doesn't connect. */
#pragma once

/* argv[0] is "explain". The exit status of the process. */
int explain_command(int argc, char **argv);
