//! What of the files that are mapped nearly nobody looks at: the larger part of most libraries.
//!
//! Copied it would take memory in each zygote. Left to its file it is shared with whoever else has that open, and a child that does look
//! at it takes a fault for each sixteen pages.

use std::ops::Range;

use crate::maps::{HUGE, Mapping, PAGE, span};

/// Of how many pages at most imports have looked at where a huge page is left to its file.
const MOST_TOUCHED: usize = HUGE / PAGE / 2;

/// The huge pages of files alone of which little is `touched`, those beside one another as one.
#[must_use]
pub fn unused(mappings: &[Mapping<'_>], touched: impl Fn(Range<usize>) -> Option<usize>) -> Vec<Range<usize>> {
    // Memory that is given back while it grows might be what is listed.
    let mut unused: Vec<Range<usize>> = Vec::with_capacity(mappings.len());
    for row in mappings.chunk_by(|one, next| one.is_of_file() && next.is_of_file() && one.range.end == next.range.start)
    {
        let all = span(row);
        let whole = all.start.next_multiple_of(HUGE)..all.end - all.end % HUGE;
        for start in whole.step_by(HUGE).filter(|_| row[0].is_of_file()) {
            if touched(start..start + HUGE).is_some_and(|count| count <= MOST_TOUCHED) {
                match unused.last_mut().filter(|last| last.end == start) {
                    Some(last) => last.end += HUGE,
                    None => unused.push(start..start + HUGE),
                }
            }
        }
    }
    unused
}

/// The same mappings in parts, so that each lies in one of the ranges or in none.
#[must_use]
pub fn cut<'a>(mappings: &[Mapping<'a>], ranges: &[Range<usize>]) -> Vec<Mapping<'a>> {
    let bounds = || ranges.iter().flat_map(|range| [range.start, range.end]);
    let parts = mappings.iter().flat_map(|mapping| {
        let Range { start, end } = mapping.range;
        let within = bounds().filter(move |bound| start < *bound && *bound < end);
        let starts = std::iter::once(start).chain(within.clone());
        starts.zip(within.chain(std::iter::once(end))).map(|(start, end)| Mapping { range: start..end, ..*mapping })
    });
    let mut cut = Vec::with_capacity(mappings.len() + 2 * ranges.len());
    cut.extend(parts);
    cut
}

#[cfg(test)]
mod tests {
    use super::{MOST_TOUCHED, cut, unused};
    use crate::maps::mappings;

    const MAPS: &str = "\
7f0000000000-7f0000100000 r--p 00000000 fe:00 13 /usr/lib/one.so
7f0000100000-7f0000900000 r-xp 00100000 fe:00 13 /usr/lib/one.so
7f0000900000-7f0000a00000 rw-p 00900000 fe:00 13 /usr/lib/one.so
7f0000a00000-7f0001000000 rw-p 00000000 00:00 0
7f0001000000-7f0001400000 r-xs 00000000 fe:00 14 /usr/lib/two.so
7f0001400000-7f0001600000 r-xp 00000000 fe:00 15 /usr/lib/three.so";

    #[test]
    fn what_is_little_touched_is_left_to_files_in_whole_huge_pages() {
        let maps = mappings(MAPS);
        let few = |_| Some(MOST_TOUCHED);
        assert_eq!(unused(&maps, few), [0x7f00_0000_0000..0x7f00_0080_0000, 0x7f00_0140_0000..0x7f00_0160_0000]);
        assert!(unused(&maps, |_| Some(MOST_TOUCHED + 1)).is_empty());
        assert!(unused(&maps, |_| None).is_empty(), "pages that are no file's, or not told");
        let but_one = |huge: std::ops::Range<usize>| (huge.start != 0x7f00_0020_0000).then_some(0);
        let parts = [
            0x7f00_0000_0000..0x7f00_0020_0000,
            0x7f00_0040_0000..0x7f00_0080_0000,
            0x7f00_0140_0000..0x7f00_0160_0000,
        ];
        assert_eq!(unused(&maps, but_one), parts);
    }

    #[test]
    fn mappings_are_cut_where_such_a_part_begins_or_ends() {
        let maps = mappings(MAPS);
        let cut = cut(&maps, &[0x7f00_0020_0000..0x7f00_0040_0000, 0x7f00_0060_0000..0x7f00_0090_0000]);
        let ranges: Vec<_> = cut.iter().map(|mapping| mapping.range.clone()).collect();
        let expected =
            [0, 0x10, 0x20, 0x40, 0x60, 0x90, 0xa0, 0x100, 0x140, 0x160].map(|at| 0x7f00_0000_0000 + (at << 16));
        assert_eq!(ranges, expected.windows(2).map(|ends| ends[0]..ends[1]).collect::<Vec<_>>());
        assert!(cut[1..5].iter().all(|mapping| mapping.permissions == "r-xp" && mapping.name == "/usr/lib/one.so"));
    }
}
