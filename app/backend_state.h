/* `ikelb drain`, `ikelb enable` and `ikelb disable`: the operator's decisions on backends. */
#pragma once

/* argv[0] says which of them. */
int backend_state_command(int argc, char **argv);
