//! What the job's output is: its two streams, as they were made, and Python's own `print`.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::output::api::{FastWithKeywords, Pointer};
use crate::output::descriptor::Descriptor;
use crate::output::python::Object;

/// Set once a process and kept for good; read under the interpreter's lock.
static STATE: AtomicPtr<State> = AtomicPtr::new(null_mut());

/// One of the two streams.
pub struct Stream {
    /// A `TextIOWrapper`.
    pub text: Object,
    /// Its own attributes, and how many it was made with: one that gets others may be another stream by now.
    attributes: Object,
    made_with: isize,
    /// Its buffer, which writes by what is here.
    pub buffer: Object,
    /// Where to.
    pub descriptor: Descriptor,
    /// Whether the buffer has been closed, or taken from what it is a buffer of: it is to be asked then.
    pub left: AtomicBool,
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
        let (attributes, buffer) = (text.attribute(c"__dict__")?, text.attribute(c"buffer")?);
        let made_with = attributes.entries();
        let (descriptor, write) = (Descriptor::new(number), Object::name(c"write")?);
        Some(Self { text, attributes, made_with, buffer, descriptor, left: AtomicBool::new(false), write })
    }

    /// Has the stream write a text.
    pub fn write(&self, text: &Object) -> Option<()> {
        self.text.call(&self.write, Some(text)).map(drop)
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
        let of = |stream: &&Stream| stream.text.pointer() == file && stream.attributes.entries() == stream.made_with;
        self.streams.iter().find(of)
    }

    /// The stream whose buffer this is.
    pub fn stream_of(&self, buffer: Pointer) -> Option<&Stream> {
        let of = |stream: &&Stream| stream.buffer.pointer() == buffer && !stream.left.load(Ordering::Relaxed);
        self.streams.iter().find(of)
    }
}
