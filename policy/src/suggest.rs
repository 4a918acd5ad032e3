//! What a misspelt word was probably meant to be.

/// The candidate that a misspelt word most resembles, if any is close.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The question, of a candidate as it is shown.
pub(crate) fn meant(shown: &str) -> String {
    format!("did you mean {shown}?")
}

/// Advice for a misspelt word: the candidate that it most resembles, or what else there is to say.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    shown: fn(&str) -> String,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, candidates).map_or_else(otherwise, |near| meant(&shown(near)))
}

/// A value of the file, which has it in quotes.
pub(crate) fn quoted(word: &str) -> String {
    format!("{word:?}")
}

/// A name that the file has without quotes.
pub(crate) fn as_code(word: &str) -> String {
    format!("`{word}`")
}
