/* `ikelb clients`: lists the clients and what is known of each. */
#pragma once

/* argv[0] is "clients". The exit status of the process. */
int clients_command(int argc, char **argv);
