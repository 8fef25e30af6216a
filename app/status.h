/* `ikelb status`: shows services, backends, health, clients, rates and alarms. */
#pragma once

/* argv[0] is "status". The exit status of the process. */
int status_command(int argc, char **argv);
