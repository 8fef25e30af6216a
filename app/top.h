/* `ikelb top`: the status as a live screen. */
#pragma once

/* argv[0] is "top". The exit status of the process. */
int top_command(int argc, char **argv);
