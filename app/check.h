/* `ikelb check`: validates a configuration file. */
#pragma once

/* argv[0] is "check". The exit status of the process. */
int check_command(int argc, char **argv);
