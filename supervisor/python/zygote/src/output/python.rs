//! What the output of a job does with Python's objects, and references that are given back. All of it is for threads that
//! hold the interpreter's lock, as whoever is called by the interpreter does. `None` in the place of what a function
//! should return says that an exception is set.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{NonNull, null_mut};

use crate::output::api::*;

/// A reference of its own to an object.
pub struct Object(NonNull<Head>);

impl Object {
    /// Takes a reference that C has handed over, if it has.
    ///
    /// # Safety
    /// It is null, or a reference to an object that nobody else gives back.
    pub unsafe fn owned(pointer: Pointer) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// One more reference to an object of somebody else's.
    ///
    /// # Safety
    /// It is null or points to an object.
    pub unsafe fn shared(pointer: Pointer) -> Option<Self> {
        // SAFETY: as the caller vouches; null is passed over.
        unsafe { Py_IncRef(pointer) };
        NonNull::new(pointer).map(Self)
    }

    /// A text that exists once.
    pub fn name(text: &CStr) -> Option<Self> {
        // SAFETY: the text is read within the call.
        let name = unsafe { PyUnicode_InternFromString(text.as_ptr()) };
        // SAFETY: the reference is new.
        unsafe { Self::owned(name) }
    }

    /// A number of bytes.
    pub fn count(number: usize) -> Option<Self> {
        // SAFETY: takes and keeps no object.
        let count = unsafe { PyLong_FromSsize_t(number.cast_signed()) };
        // SAFETY: the reference is new.
        unsafe { Self::owned(count) }
    }

    /// Python's `None`.
    pub fn none() -> Pointer {
        // SAFETY: it is never freed.
        unsafe { Self::shared(none()) }.map_or(null_mut(), Self::give)
    }

    pub fn pointer(&self) -> Pointer {
        self.0.as_ptr()
    }

    /// Hands the reference over.
    pub fn give(self) -> Pointer {
        let pointer = self.pointer();
        std::mem::forget(self);
        pointer
    }

    /// What `str()` makes of it.
    pub fn text(&self) -> Option<Self> {
        // SAFETY: it is an object.
        let text = unsafe { PyObject_Str(self.pointer()) };
        // SAFETY: the reference is new.
        unsafe { Self::owned(text) }
    }

    /// This text, and another behind it.
    pub fn and(&self, other: &Self) -> Option<Self> {
        // SAFETY: both are objects; what is no text is told.
        let both = unsafe { PyUnicode_Concat(self.pointer(), other.pointer()) };
        // SAFETY: the reference is new.
        unsafe { Self::owned(both) }
    }

    pub fn attribute(&self, name: &CStr) -> Option<Self> {
        // SAFETY: an object and a text that is read within the call; the reference is new.
        let attribute = unsafe { PyObject_GetAttrString(self.pointer(), name.as_ptr()) };
        // SAFETY: as above.
        unsafe { Self::owned(attribute) }
    }

    pub fn set_attribute(&self, name: &CStr, value: &Self) -> Option<()> {
        // SAFETY: objects, and a text that is read within the call.
        let failed = unsafe { PyObject_SetAttrString(self.pointer(), name.as_ptr(), value.pointer()) };
        (failed == 0).then_some(())
    }

    /// Calls its method of this name.
    pub fn call(&self, name: &Self, argument: Option<&Self>) -> Option<Self> {
        let (argument, end) = (argument.map_or(null_mut(), Self::pointer), null_mut::<Head>());
        // SAFETY: objects, and a null behind the last of them.
        let returned = unsafe { PyObject_CallMethodObjArgs(self.pointer(), name.pointer(), argument, end) };
        // SAFETY: the reference is new.
        unsafe { Self::owned(returned) }
    }

    /// How many entries this dictionary has.
    pub fn entries(&self) -> isize {
        // SAFETY: what is no dictionary has -1, and an exception is set.
        unsafe { PyDict_Size(self.pointer()) }
    }

    /// What this dictionary has by a name, for as long as it has it; null if it has nothing.
    pub fn entry(&self, name: &Self) -> Pointer {
        // SAFETY: a dictionary and a text, which has its hash and its equality from Python itself.
        unsafe { PyDict_GetItemWithError(self.pointer(), name.pointer()) }
    }

    /// The number of the descriptor that a file says it is of.
    pub fn descriptor(&self) -> Option<c_int> {
        // SAFETY: it is an object.
        let number = unsafe { PyObject_AsFileDescriptor(self.pointer()) };
        (number >= 0).then_some(number)
    }

    /// The UTF-8 of a text; none if there is none for it, as for half a surrogate pair, and no exception is set then.
    pub fn utf8(&self) -> Option<&[u8]> {
        let mut size = 0;
        // SAFETY: it is an object, and a place for a number.
        let start = unsafe { PyUnicode_AsUTF8AndSize(self.pointer(), &raw mut size) };
        if start.is_null() {
            PyErr_Clear();
            return None;
        }
        // SAFETY: so many bytes lie there for as long as the text exists, and never change.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), usize::try_from(size).unwrap_or(0)) })
    }

    /// Calls a function with the bytes that it lends, which stay as long and where they are meanwhile.
    pub fn with_bytes<T>(&self, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut view = View { start: null_mut(), object: null_mut(), length: 0, rest: [0; 7] };
        // SAFETY: it is an object, and the view has the size that C gives it.
        if unsafe { PyObject_GetBuffer(self.pointer(), &raw mut view, 0) } != 0 {
            return None;
        }
        let length = usize::try_from(view.length).unwrap_or(0);
        let start = if length == 0 { NonNull::dangling().as_ptr() } else { view.start.cast() };
        // SAFETY: so many bytes lie there until the view is released. That another thread changes them meanwhile is as
        // with any file's `write`: they are handed to the kernel and looked through for line ends.
        let returned = with(unsafe { std::slice::from_raw_parts(start, length) });
        // SAFETY: it was filled above, and is released once.
        unsafe { PyBuffer_Release(&raw mut view) };
        Some(returned)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the reference is this one's own.
        unsafe { Py_DecRef(self.pointer()) }
    }
}

fn none() -> Pointer {
    &raw mut _Py_NoneStruct
}

/// Whether it is `None`, or no object at all.
pub fn is_none(pointer: Pointer) -> bool {
    pointer.is_null() || pointer == none()
}

/// The truth of `True` and of `False`, and of nothing else.
pub fn truth(pointer: Pointer) -> Option<bool> {
    if pointer == &raw mut _Py_TrueStruct {
        return Some(true);
    }
    (pointer == &raw mut _Py_FalseStruct).then_some(false)
}

/// # Safety
/// It points to an object.
unsafe fn kind(pointer: Pointer) -> *const c_void {
    // SAFETY: as the caller vouches.
    unsafe { (*pointer).kind }
}

/// Whether it is a `str`, and not of a class that is made from it.
///
/// # Safety
/// It points to an object.
pub unsafe fn is_text(pointer: Pointer) -> bool {
    // SAFETY: as the caller vouches.
    unsafe { kind(pointer) == &raw const PyUnicode_Type }
}

/// Whether the text of it is Python's own doing: no code of anybody's runs while it is made.
///
/// # Safety
/// It points to an object.
pub unsafe fn is_plain(pointer: Pointer) -> bool {
    let plain = [&raw const PyUnicode_Type, &raw const PyLong_Type, &raw const PyFloat_Type, &raw const PyBool_Type];
    // SAFETY: as the caller vouches.
    is_none(pointer) || plain.contains(&unsafe { kind(pointer) })
}

/// The names in front of the last arguments of a call.
///
/// # Safety
/// It is null or points to a tuple, which stays for as long as what is returned is used.
pub unsafe fn names(tuple: Pointer) -> impl ExactSizeIterator<Item = Pointer> {
    // SAFETY: as the caller vouches.
    let count = if tuple.is_null() { 0 } else { unsafe { PyTuple_Size(tuple) } };
    // SAFETY: there are so many.
    (0..count).map(move |index| unsafe { PyTuple_GetItem(tuple, index) })
}

/// Whether a text reads so.
///
/// # Safety
/// It points to a text.
pub unsafe fn reads(text: Pointer, other: &CStr) -> bool {
    // SAFETY: as the caller vouches, and the other is read within the call.
    unsafe { PyUnicode_CompareWithASCIIString(text, other.as_ptr()) == 0 }
}

/// What a builtin function is made of: itself, to be called in its place, its definition, and what it is called with.
pub fn fast_with_keywords(function: &Object) -> Option<(FastWithKeywords, Method)> {
    // SAFETY: it is an object.
    if unsafe { kind(function.pointer()) } == &raw const PyCFunction_Type {
        // SAFETY: of this kind are objects that begin so.
        let method = unsafe { (*function.pointer().cast::<Builtin>()).method };
        // SAFETY: a builtin function's definition is never freed before the function.
        let method = unsafe { *method };
        if method.flags == METH_FASTCALL | METH_KEYWORDS {
            // SAFETY: this is what the flags say of it.
            return Some((unsafe { std::mem::transmute::<*const c_void, FastWithKeywords>(method.function) }, method));
        }
    }
    fail(c"print is not as it is known");
    None
}

/// A builtin function of a module's.
pub fn function(method: Method, module: &Object, name: &Object) -> Option<Object> {
    let method: &'static Method = Box::leak(Box::new(method));
    // SAFETY: a definition that is never freed, and objects of which it takes references of its own.
    let function = unsafe { PyCFunction_NewEx(method, module.pointer(), name.pointer()) };
    // SAFETY: the reference is new.
    unsafe { Object::owned(function) }
}

/// A method for a class.
pub fn method(method: Method, class: &Object) -> Option<Object> {
    let method: &'static Method = Box::leak(Box::new(method));
    // SAFETY: a definition that is never freed, and a class, which the caller has from `class` statement.
    let method = unsafe { PyDescr_NewMethod(class.pointer(), method) };
    // SAFETY: the reference is new.
    unsafe { Object::owned(method) }
}

/// Sets a `TypeError`.
pub fn fail(message: &CStr) {
    // SAFETY: set for as long as the interpreter exists.
    let kind = unsafe { PyExc_TypeError };
    // SAFETY: an exception's class, and a text that is read within the call.
    unsafe { PyErr_SetString(kind, message.as_ptr()) }
}

/// Sets an `OSError` by what a call has told.
pub fn fail_by_errno(error: &std::io::Error) {
    // The lock may have been had back by calls that set it.
    nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)).set();
    // SAFETY: set for as long as the interpreter exists.
    let kind = unsafe { PyExc_OSError };
    // SAFETY: an exception's class.
    unsafe { PyErr_SetFromErrno(kind) };
}

/// Runs the handlers of signals that have come; none, if one has raised an exception.
pub fn handle_signals() -> Option<()> {
    (PyErr_CheckSignals() == 0).then_some(())
}

/// Does something while other threads may have the interpreter's lock.
pub fn unlocked<T>(call: impl FnOnce() -> T) -> T {
    let state = PyEval_SaveThread();
    let returned = call();
    // SAFETY: the state is this thread's, and its lock was given up with it.
    unsafe { PyEval_RestoreThread(state) };
    returned
}

/// Does something, and has the exception that is set now set again.
pub fn aside(call: impl FnOnce() -> Option<()>) {
    let (mut kind, mut value, mut trace) = (null_mut(), null_mut(), null_mut());
    // SAFETY: three places for references, which are handed over.
    unsafe { PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut trace) };
    if call().is_none() {
        PyErr_Clear();
    }
    // SAFETY: as above.
    unsafe { PyErr_Restore(kind, value, trace) };
}
