/* `ikelb probe`: asks an IKE server whether it is alive on UDP 500 and 4500. */
#pragma once

/* argv[0] is "probe". The exit status of the process. */
int probe_command(int argc, char **argv);
