//! The native half of a job's output: a module of Python's, loaded from this library before a script runs.
//!
//! What is printed goes to the kernel at once, a print as one `write(2)`. So its order is that in which the program
//! made it, whoever else writes to the same pipe (`os.write`, C, children); a line is in one piece up to what a pipe
//! takes so; and nothing is in the process's hands that could be lost with it.

mod api;
mod aside;
mod descriptor;
mod end;
mod print;
mod python;
mod state;

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use crate::output::api::{Fast, Head, METH_FASTCALL, METH_NOARGS, METH_O, Method, Module, Pointer, PyModuleDef_Init};
use crate::output::descriptor::Descriptor;
use crate::output::python::Object;
use crate::output::state::{Line, State, Stream};

/// A definition that Python reads and writes under its lock.
struct Definition<T>(std::cell::UnsafeCell<T>);

// SAFETY: only the interpreter touches it, under its lock.
unsafe impl<T> Sync for Definition<T> {}

static METHODS: Definition<[Method; 9]> = Definition(std::cell::UnsafeCell::new([
    Method {
        name: c"take_over".as_ptr(),
        function: take_over as Fast as *const c_void,
        flags: METH_FASTCALL,
        doc: null(),
    },
    Method { name: c"leave".as_ptr(), function: leave as *const c_void, flags: METH_O, doc: null() },
    Method { name: c"flush_c".as_ptr(), function: end::flush_c as *const c_void, flags: METH_NOARGS, doc: null() },
    Method {
        name: c"open_files".as_ptr(),
        function: end::open_files as *const c_void,
        flags: METH_NOARGS,
        doc: null(),
    },
    Method {
        name: c"keep_returns".as_ptr(),
        function: end::keep_returns as *const c_void,
        flags: METH_NOARGS,
        doc: null(),
    },
    Method { name: c"begin".as_ptr(), function: end::begin as *const c_void, flags: METH_NOARGS, doc: null() },
    Method {
        name: c"be_counted".as_ptr(),
        function: end::be_counted as *const c_void,
        flags: METH_NOARGS,
        doc: null(),
    },
    Method { name: c"fork_aside".as_ptr(), function: aside::fork_aside as *const c_void, flags: METH_O, doc: null() },
    Method { name: null(), function: null(), flags: 0, doc: null() },
]));

static MODULE: Definition<Module> = Definition(std::cell::UnsafeCell::new(Module {
    head: Head::STATIC,
    unused: [0; 3],
    name: c"cloister_output".as_ptr(),
    doc: null(),
    size: 0,
    methods: METHODS.0.get().cast(),
    none: [0; 4],
}));

/// What Python asks a library for that it loads as this module.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit_cloister_output() -> Pointer {
    // SAFETY: a definition that is never freed.
    unsafe { PyModuleDef_Init(MODULE.0.get()) }
}

/// `take_over(class, builtins, sys, stdout, stderr)`: the class of the streams' buffers is given its `write`; a `print`
/// that knows the streams is returned.
///
/// # Safety
/// For the interpreter to call: so many arguments lie there.
unsafe extern "C" fn take_over(_: Pointer, arguments: *const Pointer, count: isize) -> Pointer {
    if count != 5 {
        python::fail(c"take_over takes five arguments");
        return null_mut();
    }
    // SAFETY: as the caller vouches: five of them.
    let arguments = unsafe { std::slice::from_raw_parts(arguments, 5) };
    // SAFETY: as the caller vouches: they are objects.
    let argument = |index: usize| unsafe { Object::shared(arguments[index]) };
    let taken = || {
        let (class, builtins, system) = (argument(0)?, argument(1)?, argument(2)?);
        let original = builtins.attribute(c"print")?;
        let (print, method) = python::fast_with_keywords(&original)?;
        let state = State {
            print,
            modules: system.attribute(c"__dict__")?,
            stdout: Object::name(c"stdout")?,
            flush: Object::name(c"flush")?,
            newline: Object::name(c"\n")?,
            blank: Object::name(c" ")?,
            streams: [Stream::new(argument(3)?, 1)?, Stream::new(argument(4)?, 2)?],
        };
        let write = Method { name: c"write".as_ptr(), function: write as *const c_void, flags: METH_O, doc: null() };
        class.set_attribute(c"write", &python::method(write, &class)?)?;
        state.keep();
        descriptor::by_lines();
        let method = Method { function: print::print as *const c_void, ..method };
        python::function(method, &builtins, &Object::name(c"builtins")?)
    };
    taken().map_or(null_mut(), Object::give)
}

/// `leave(object)`: a stream or its buffer is closed, taken apart or set up anew: what that means it knows itself.
extern "C" fn leave(_: Pointer, object: Pointer) -> Pointer {
    State::get().leave(object);
    Object::none()
}

/// The `write` of a buffer: all of it is written by the time that it returns.
///
/// # Safety
/// For the interpreter to call.
unsafe extern "C" fn write(this: Pointer, data: Pointer) -> Pointer {
    let written = || {
        // SAFETY: as the caller vouches: it is an object.
        let this = unsafe { Object::shared(this) }?;
        // SAFETY: as above.
        let data = unsafe { Object::shared(data) }?;
        Line::write_begun()?;
        let asked;
        let descriptor = match State::get().stream_of(this.pointer()) {
            Some(stream) => &stream.descriptor,
            None => {
                asked = Descriptor::new(this.descriptor()?);
                &asked
            }
        };
        Object::count(data.with_bytes(|bytes| descriptor.write(bytes).map(|()| bytes.len()))??)
    };
    written().map_or(null_mut(), Object::give)
}
