/* `ikelb reload`: the running daemon reads its configuration file again. */
#pragma once

int reload_command(int argc, char **argv);
