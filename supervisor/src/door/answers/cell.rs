//! What the answer of a cell has beside that of a job.

use cloister_protocol::MimeBundle;

use crate::door::answers::parts::{Part, Parts, bytes_of, text_of};
use crate::job::outcome::OfCell;

impl Parts {
    /// In the order of [`cloister_protocol::CellGiven`].
    pub(super) fn cell(&mut self, cell: OfCell) {
        let OfCell { session, number, value, display, restored, not_kept, .. } = cell;
        self.json(format!(",\"session\":\"{session}\",\"cell\":{number}"));
        if let Some((text, data)) = value {
            if let Some(text) = text {
                self.json(",\"text\":\"");
                self.push(Part::Text(text.into()));
                self.json("\"");
            }
            self.json(",\"data\":");
            self.push(Part::Result(bytes_of(data.into_json())));
        }
        let (any, mut before) = (!display.is_empty(), ",\"display\":[");
        for shown in display {
            self.json(before);
            self.push(Part::Result(bytes_of(shown.into_json())));
            before = ",";
        }
        if any {
            self.json("]");
        }
        if let Some(restored) = restored {
            self.json(format!(",\"restored\":{restored}"));
        }
        if !not_kept.is_empty() {
            self.json(format!(",\"not_kept\":{}", text_of(&not_kept)));
        }
    }
}

/// What is shown by a cell holds so many bytes, with the text of its value.
pub(super) fn held(cell: &OfCell) -> usize {
    let of = |bundle: &MimeBundle| bundle.json().len();
    let value = cell.value.as_ref().map_or(0, |(text, data)| text.as_ref().map_or(0, String::len) + of(data));
    value + cell.display.iter().map(of).sum::<usize>()
}
