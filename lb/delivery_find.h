/* Asks the kernel which rules and routes with ikelb's protocol number are there, by rtnetlink. */
#pragma once

struct question;

/* What an earlier run has left, of one family. */
struct delivery_found {
    int count; /* with our protocol number, and the priority, mark and table of ours, or the same place */
    int same_count; /* of these: such as we would add, and nothing more */
};

/* Dumps the policy rules. 0 or -errno; then nothing is known. */
int delivery_find_rules(struct question *question, int family, struct delivery_found *out);

/* Dumps the default routes of our table. 0 or -errno; then nothing is known. */
int delivery_find_routes(struct question *question, int family, struct delivery_found *out);
