/* `ikelb doctor`: goes through the checklist behind error 809, from the machine that it runs on. */
#pragma once

/* argv[0] is "doctor". The exit status of the process. */
int doctor_command(int argc, char **argv);
