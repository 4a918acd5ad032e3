//! The keys of `[supervisor]`: what holds for all profiles together.

use std::time::Duration;

use cloister_terms::{Bytes, LEAST, MOST_SESSIONS, MOST_SLOTS, MOST_WAITING};

use super::key::More;
use super::typed::{Text, absent, count, key, path, size_from, small, table, time};

table! {
/// The keys of `[supervisor]`.
SUPERVISOR of Supervisor {
    SLOTS: u32 = key("slots", count(1, MOST_SLOTS), "32", More::Looser, "Jobs at once.");
    QUEUE: u32 = key(
        "queue",
        small(0, MOST_WAITING),
        "1024",
        More::Neither,
        "Requests that wait for a slot, no more than half of them of one key or address; beyond that they get 429 at once.",
    );
    QUEUE_WAIT: Duration = key("queue_wait", time(1, 24), "\"10s\"", More::Neither, "How long a request waits at most; then it gets 429.");
    ANSWERS: Bytes = key(
        "answers",
        size_from(1 << 20),
        "\"512MiB\"",
        More::Neither,
        "What answers may hold that are not read yet. Who has an eighth of it unread waits; so does, at all of it, who has any.",
    );
    SESSIONS: u32 = key(
        "sessions",
        small(0, MOST_SESSIONS),
        "256",
        More::Neither,
        "Sessions that may be open, of all profiles and keys; more get 429, and with 0 all do. Where the file does not say it, no \
         more than `uid_count` has ids for.",
    );
    SESSIONS_MEMORY: Option<Bytes> = absent(
        "sessions_memory",
        size_from(0),
        "What all sessions may hold together; beyond it none is opened, and the one longest without a cell goes. Without it a \
         quarter of the host's memory.",
    );
    UID_BASE: u32 = key(
        "uid_base",
        small(LEAST.0, u32::MAX - 4 * MOST_SLOTS),
        "1879048192",
        More::Neither,
        "First host uid and gid of the range that jobs run as. No account may have one of them. Below 100000 only in a user namespace of few ids, such as a container's.",
    );
    UID_COUNT: u32 = key(
        "uid_count",
        small(2, 65_536),
        "8192",
        More::Neither,
        "Ids in that range. Used are one for the launchers, one for what serves, one for each slot, one for each parked child and one for each session.",
    );
    LANDLOCK_MIN_ABI: u32 = key(
        "landlock_min_abi",
        small(1, 10),
        "2",
        More::Stricter,
        "The least Landlock ABI that the kernel must offer; the highest that it has is used.",
    );
    RUNTIMES: Text = key(
        "runtimes",
        path(),
        "\"/var/lib/cloister/runtimes\"",
        More::Neither,
        "Where the packages of runtimes with a `base` lie, each build in a directory of its own: cloister runtime build.",
    );
}
}
