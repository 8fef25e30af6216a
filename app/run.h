/* `ikelb run`: reads the configuration and runs the daemon in the foreground. */
#pragma once

/* argv[0] is "run". The exit status of the process. */
int run_command(int argc, char **argv);
