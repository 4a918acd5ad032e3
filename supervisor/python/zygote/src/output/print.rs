//! `print`, which puts a line together before it is written: no other thread and no other process comes in between.
//!
//! It is for the streams of the job alone, and for what it knows: everything else is Python's own `print`'s.

use std::ptr::null_mut;

use crate::output::api::Pointer;
use crate::output::python::{self, Object};
use crate::output::state::{Line, State, Stream, text_of};

/// Python's `print`, by `METH_FASTCALL | METH_KEYWORDS`.
///
/// # Safety
/// For the interpreter to call: so many arguments lie there, and behind them the values of those that have names.
pub unsafe extern "C" fn print(this: Pointer, arguments: *const Pointer, count: isize, names: Pointer) -> Pointer {
    let state = State::get();
    // SAFETY: as the caller vouches.
    match unsafe { Call::read(state, arguments, count, names) } {
        Some(call) => call.carry_out().map_or(null_mut(), |()| Object::none()),
        // SAFETY: as the caller vouches.
        None => unsafe { (state.print)(this, arguments, count, names) },
    }
}

/// A call that is made here.
struct Call<'a> {
    state: &'static State,
    stream: &'static Stream,
    objects: &'a [Pointer],
    separator: Option<Object>,
    end: Option<Object>,
    flush: bool,
}

impl Call<'_> {
    /// None: it is Python's own to make, or to refuse.
    ///
    /// # Safety
    /// As of [`print`]. What is returned is not used longer than the arguments lie there.
    unsafe fn read(state: &'static State, arguments: *const Pointer, count: isize, names: Pointer) -> Option<Self> {
        let count = usize::try_from(count).ok()?;
        // SAFETY: as the caller vouches.
        let names = unsafe { python::names(names) };
        let all = if count + names.len() == 0 {
            &[][..]
        } else {
            // SAFETY: as the caller vouches.
            unsafe { std::slice::from_raw_parts(arguments, count + names.len()) }
        };
        let (objects, values) = all.split_at(count);
        let (mut separator, mut end, mut file, mut flush) = (None, None, null_mut(), false);
        for (name, value) in names.zip(values.iter().copied()) {
            // SAFETY: the names of arguments are texts.
            let is = |text| unsafe { python::reads(name, text) };
            if is(c"end") {
                // SAFETY: an argument is an object.
                end = unsafe { text_or_none(value) }?;
            } else if is(c"sep") {
                // SAFETY: as above.
                separator = unsafe { text_or_none(value) }?;
            } else if is(c"file") {
                file = value;
            } else if is(c"flush") {
                flush = python::truth(value)?;
            } else {
                return None;
            }
        }
        if python::is_none(file) {
            file = state.modules.entry(&state.stdout);
        }
        let stream = state.stream(file)?;
        Some(Self { state, stream, objects, separator, end, flush })
    }

    fn carry_out(&self) -> Option<()> {
        let end = self.end.as_ref().unwrap_or(&self.state.newline);
        match self.objects {
            [] => self.stream.write(end)?,
            // SAFETY: an argument is an object.
            [only] => self.stream.write(&unsafe { text_of(*only) }?.and(end)?)?,
            [objects @ .., last] => {
                let separator = self.separator.as_ref().unwrap_or(&self.state.blank);
                let line = Line::of(self.stream);
                for object in objects {
                    line.add(*object)?;
                    line.append(separator)?;
                }
                line.add(*last)?;
                line.append(end)?;
                line.write()?;
            }
        }
        if self.flush {
            self.stream.text.call(&self.state.flush, None)?;
        }
        Some(())
    }
}

/// A text, or nothing for `None`; none for anything else.
///
/// # Safety
/// It points to an object.
unsafe fn text_or_none(object: Pointer) -> Option<Option<Object>> {
    if python::is_none(object) {
        return Some(None);
    }
    // SAFETY: as the caller vouches.
    let is_text = unsafe { python::is_text(object) };
    // SAFETY: as the caller vouches.
    is_text.then(|| unsafe { Object::shared(object) })
}
