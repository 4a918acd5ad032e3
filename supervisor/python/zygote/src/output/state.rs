//! What the job's output is: its two streams, as they were made, what is put together for them, and Python's own `print`.

use std::cell::{Cell, RefCell};
use std::ptr::{null, null_mut};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::output::api::{FastWithKeywords, Pointer};
use crate::output::descriptor::Descriptor;
use crate::output::python::{self, Object};

/// Set once a process and kept for good; read under the interpreter's lock.
static STATE: AtomicPtr<State> = AtomicPtr::new(null_mut());

/// One of the two streams.
pub struct Stream {
    /// A `TextIOWrapper`.
    pub text: Object,
    /// Its own attributes and its buffer's, with how many each was made: who has got others may be another by now.
    attributes: [(Object, isize); 2],
    /// Its buffer, which writes by what is here.
    buffer: Object,
    /// Where to.
    pub descriptor: Descriptor,
    /// Whether the text writes in another way by now, and whether the buffer does, or no longer: closed, taken apart,
    /// with another encoding. They are to be asked then.
    text_left: AtomicBool,
    buffer_left: AtomicBool,
    write: Object,
}

/// All of it.
pub struct State {
    /// Python's own `print`.
    pub print: FastWithKeywords,
    /// What is in `sys`.
    pub modules: Object,
    pub stdout: Object,
    pub flush: Object,
    pub newline: Object,
    pub blank: Object,
    pub streams: [Stream; 2],
}

impl Stream {
    pub fn new(text: Object, number: i32) -> Option<Self> {
        let attributes = |of: &Object| {
            let attributes = of.attribute(c"__dict__")?;
            let made_with = attributes.entries();
            Some((attributes, made_with))
        };
        let buffer = text.attribute(c"buffer")?;
        Some(Self {
            attributes: [attributes(&text)?, attributes(&buffer)?],
            text,
            buffer,
            descriptor: Descriptor::new(number),
            text_left: AtomicBool::new(false),
            buffer_left: AtomicBool::new(false),
            write: Object::name(c"write")?,
        })
    }

    /// Writes a text, as the stream would do it or by asking it.
    pub fn write(&self, text: &Object) -> Option<()> {
        if !self.text_left.load(Ordering::Relaxed) && !self.buffer_left.load(Ordering::Relaxed) {
            Line::write_begun()?;
            if let Some(bytes) = text.utf8() {
                return self.descriptor.write(bytes);
            }
        }
        self.text.call(&self.write, Some(text)).map(drop)
    }

    fn is_as_made(&self) -> bool {
        self.attributes.iter().all(|(attributes, made_with)| attributes.entries() == *made_with)
    }
}

impl State {
    /// What [`State::keep`] was given.
    pub fn get() -> &'static Self {
        // SAFETY: nothing that asks is reached before it is set, and what it was set to is never freed.
        unsafe { &*STATE.load(Ordering::Relaxed) }
    }

    pub fn keep(self) {
        STATE.store(Box::into_raw(Box::new(self)), Ordering::Relaxed);
    }

    /// The stream that a file is, if it is as it was made.
    pub fn stream(&self, file: Pointer) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.text.pointer() == file && stream.is_as_made())
    }

    /// Has a stream asked from now on, whose text or buffer this is.
    pub fn leave(&self, object: Pointer) {
        for stream in &self.streams {
            for (one, left) in [(&stream.text, &stream.text_left), (&stream.buffer, &stream.buffer_left)] {
                left.fetch_or(one.pointer() == object, Ordering::Relaxed);
            }
        }
    }

    /// The stream whose buffer this is.
    pub fn stream_of(&self, buffer: Pointer) -> Option<&Stream> {
        let of = |stream: &&Stream| stream.buffer.pointer() == buffer && !stream.buffer_left.load(Ordering::Relaxed);
        self.streams.iter().find(of)
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
    pub fn of(stream: &'static Stream) -> Rc<Self> {
        Rc::new(Self { stream, text: RefCell::default() })
    }

    pub fn append(&self, more: &Object) -> Option<()> {
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
    pub fn add(self: &Rc<Self>, object: Pointer) -> Option<()> {
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

    pub fn write(&self) -> Option<()> {
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
pub unsafe fn text_of(object: Pointer) -> Option<Object> {
    // SAFETY: as the caller vouches.
    let object = unsafe { Object::shared(object) }?;
    // SAFETY: it is an object.
    if unsafe { python::is_text(object.pointer()) } { Some(object) } else { object.text() }
}
