//! The `[supervisor]` table.

use std::time::Duration;

use crate::model::Supervisor;
use crate::section::Section;
use crate::units;

/// The least host id that may be used: below lie accounts, system and human.
const LEAST_ID: u64 = 100_000;

/// Slots at most; each has a host id and a control group.
const MOST_SLOTS: u64 = 4096;

impl Default for Supervisor {
    fn default() -> Self {
        Self { slots: 32, queue: 128, queue_wait: Duration::from_secs(2), uid_base: 0x7000_0000, landlock_min_abi: 2 }
    }
}

pub(crate) fn read(section: Section<'_>) -> Supervisor {
    let default = Supervisor::default();
    let small = |number: u64| u32::try_from(number).expect("the bound that was checked fits");
    let most_id = u64::from(u32::MAX) - 2 * MOST_SLOTS;
    let read = Supervisor {
        slots: section.read("slots", |entry| entry.integer(1, MOST_SLOTS)).map_or(default.slots, small),
        queue: section.read("queue", |entry| entry.integer(0, 1_000_000)).map_or(default.queue, small),
        queue_wait: section
            .read("queue_wait", |entry| entry.quantity(units::duration, "\"2s\""))
            .unwrap_or(default.queue_wait),
        uid_base: section.read("uid_base", |entry| entry.integer(LEAST_ID, most_id)).map_or(default.uid_base, small),
        landlock_min_abi: section
            .read("landlock_min_abi", |entry| entry.integer(1, 6))
            .map_or(default.landlock_min_abi, small),
    };
    section.finish();
    read
}
