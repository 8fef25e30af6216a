/* Sessions told apart by a number each, and how they are found, for the tests of persist/sessions.c. */
#pragma once

#include "persist/sessions.h"
#include "tests/unit/unit.h"

#define SERVICE 3

static inline struct ike_spi spi(uint8_t number)
{
    return (struct ike_spi){.bytes = {[7] = number}};
}

static inline struct story story_of(uint8_t spi_i, uint8_t spi_r)
{
    struct story story = story_begin(SERVICE, 1, 500, 5);

    story.spi_i = spi(spi_i);
    story.spi_r = spi(spi_r);
    return story;
}

static inline uint32_t find(const struct sessions *s, uint16_t service, uint8_t spi_i, uint8_t spi_r)
{
    const struct ike_spi i = spi(spi_i), r = spi(spi_r);

    return sessions_find(s, service, &i, &r);
}

static inline uint32_t find_begun(const struct sessions *s, uint32_t pin, uint8_t spi_i)
{
    const struct ike_spi i = spi(spi_i);

    return sessions_find_begun(s, pin, &i);
}

/* Fails the test unless the pin has exactly these sessions, the youngest first, linked both ways. */
static inline void check_list(struct sessions *s, uint32_t pin, const uint32_t *want, size_t count)
{
    uint32_t index = sessions_of_pin(s, pin), prev = SESSION_NONE;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(index, want[i]);
        const struct session *session = sessions_get(s, index);
        assert_int_equal(session->pin, pin);
        assert_int_equal(session->pin_prev, prev);
        assert_true(sessions_is_of(s, index, pin));
        prev = index;
        index = session->pin_next;
    }
    assert_int_equal(index, SESSION_NONE);
}
