//! `print`, which puts a line together before it is written: no other thread and no other process comes in between.
//!
//! It is for the streams of the job alone, and for what it knows: everything else is Python's own `print`'s.

use std::cell::{Cell, RefCell};
use std::ptr::null;
use std::rc::Rc;

use crate::output::api::Pointer;
use crate::output::python::{self, Object};
use crate::output::state::{State, Stream};

/// Python's `print`, by `METH_FASTCALL | METH_KEYWORDS`.
///
/// # Safety
/// For the interpreter to call: so many arguments lie there, and behind them the values of those that have names.
pub unsafe extern "C" fn print(this: Pointer, arguments: *const Pointer, count: isize, names: Pointer) -> Pointer {
    let state = State::get();
    // SAFETY: as the caller vouches.
    match unsafe { Call::read(state, arguments, count, names) } {
        Some(call) => call.carry_out().map_or(std::ptr::null_mut(), |()| Object::none()),
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
        let objects = if count == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(arguments, count) } };
        let (mut separator, mut end, mut file, mut flush) = (None, None, null::<()>().cast_mut().cast(), false);
        // SAFETY: as the caller vouches.
        for (index, name) in unsafe { python::names(names) }.enumerate() {
            // SAFETY: each name has a value, in its order.
            let value = unsafe { *arguments.add(count + index) };
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
                let line = Rc::new(Line { stream: self.stream, text: RefCell::default() });
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

thread_local! {
    /// The line that this thread puts together while it runs code of a script's: a counted reference, or null.
    static LINE: Cell<*const Line> = const { Cell::new(null()) };
}

/// What a call has put together so far.
pub struct Line {
    stream: &'static Stream,
    text: RefCell<Option<Object>>,
}

impl Line {
    fn append(&self, more: &Object) -> Option<()> {
        let before = self.text.take();
        let text = match &before {
            Some(before) => before.and(more)?,
            // SAFETY: it is an object.
            None => unsafe { Object::shared(more.pointer()) }?,
        };
        self.text.replace(Some(text));
        Some(())
    }

    /// Adds an object's text. Code that makes one may itself print, and what stands in front of it is printed by then.
    fn add(self: &Rc<Self>, object: Pointer) -> Option<()> {
        // SAFETY: an argument is an object.
        if unsafe { python::is_plain(object) } {
            // SAFETY: as above.
            return self.append(&unsafe { text_of(object) }?);
        }
        let outer = LINE.replace(Rc::into_raw(Rc::clone(self)));
        // SAFETY: as above.
        let text = unsafe { text_of(object) };
        let own = LINE.replace(outer);
        if !own.is_null() {
            // SAFETY: a reference that was put there as one, and has been taken out.
            drop(unsafe { Rc::from_raw(own) });
        }
        if text.is_none() {
            python::aside(|| self.write());
        }
        self.append(&text?)
    }

    fn write(&self) -> Option<()> {
        let text = self.text.take();
        text.map_or(Some(()), |text| self.stream.write(&text))
    }

    /// Writes what this thread has put together of a line, for something else is going to be written.
    pub fn write_begun() -> Option<()> {
        let line = LINE.replace(null());
        if line.is_null() {
            return Some(());
        }
        // SAFETY: a reference that was put there as one, and has been taken out.
        unsafe { Rc::from_raw(line) }.write()
    }
}

/// The text of an object.
///
/// # Safety
/// It points to an object.
unsafe fn text_of(object: Pointer) -> Option<Object> {
    // SAFETY: as the caller vouches.
    let object = unsafe { Object::shared(object) }?;
    // SAFETY: it is an object.
    if unsafe { python::is_text(object.pointer()) } { Some(object) } else { object.text() }
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
