//! What is wrong with a policy, as much of it as is told.

/// The first so many bytes of a text, whole characters, with a word of how to have the rest.
#[must_use]
pub fn clipped(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}\n... and more: `cloister policy check` tells all of it", &text[..end])
}
