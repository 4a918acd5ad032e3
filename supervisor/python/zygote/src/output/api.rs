//! As much of CPython's stable interface as the output of a job takes, as C has it. Names are found when the library is
//! loaded, in the interpreter that loads it.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::null;

/// What every object begins with, on 64 bits.
#[repr(C)]
pub struct Head {
    count: isize,
    pub kind: *const c_void,
}

/// A reference as C has it; whose it is, the function that takes or returns it says.
pub type Pointer = *mut Head;

impl Head {
    /// That of an object that lies in this library, and is never freed.
    pub const STATIC: Self = Self { count: 1, kind: null() };
}

/// `PyMethodDef`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Method {
    pub name: *const c_char,
    pub function: *const c_void,
    pub flags: c_int,
    pub doc: *const c_char,
}

/// `PyCFunctionObject`, as far as it has been the same since Python 3.0.
#[repr(C)]
pub struct Builtin {
    head: Head,
    pub method: *const Method,
}

/// `PyModuleDef`.
#[repr(C)]
pub struct Module {
    pub head: Head,
    pub unused: [usize; 3],
    pub name: *const c_char,
    pub doc: *const c_char,
    pub size: isize,
    pub methods: *mut Method,
    pub none: [usize; 4],
}

/// `Py_buffer`.
#[repr(C)]
pub struct View {
    pub start: *mut c_void,
    pub object: Pointer,
    pub length: isize,
    pub rest: [usize; 7],
}

pub const METH_NOARGS: c_int = 0x4;
pub const METH_O: c_int = 0x8;
pub const METH_FASTCALL: c_int = 0x80;
pub const METH_KEYWORDS: c_int = 0x2;

/// A function of C's with `METH_FASTCALL`.
pub type Fast = unsafe extern "C" fn(Pointer, *const Pointer, isize) -> Pointer;

/// A function of C's with `METH_FASTCALL | METH_KEYWORDS`.
pub type FastWithKeywords = unsafe extern "C" fn(Pointer, *const Pointer, isize, Pointer) -> Pointer;

unsafe extern "C" {
    pub static PyUnicode_Type: c_void;
    pub static PyLong_Type: c_void;
    pub static PyFloat_Type: c_void;
    pub static PyBool_Type: c_void;
    pub static PyCFunction_Type: c_void;
    pub static mut _Py_NoneStruct: Head;
    pub static mut _Py_TrueStruct: Head;
    pub static mut _Py_FalseStruct: Head;
    pub static PyExc_OSError: Pointer;
    pub static PyExc_TypeError: Pointer;

    pub fn PyModuleDef_Init(module: *mut Module) -> Pointer;
    pub fn Py_IncRef(object: Pointer);
    pub fn Py_DecRef(object: Pointer);
    pub fn PyObject_Str(object: Pointer) -> Pointer;
    pub fn PyObject_GetAttrString(object: Pointer, name: *const c_char) -> Pointer;
    pub fn PyObject_SetAttrString(object: Pointer, name: *const c_char, value: Pointer) -> c_int;
    pub fn PyObject_CallMethodObjArgs(object: Pointer, name: Pointer, ...) -> Pointer;
    pub fn PyObject_AsFileDescriptor(object: Pointer) -> c_int;
    pub fn PyObject_GetBuffer(object: Pointer, view: *mut View, flags: c_int) -> c_int;
    pub fn PyBuffer_Release(view: *mut View);
    pub fn PyUnicode_InternFromString(text: *const c_char) -> Pointer;
    pub fn PyUnicode_Concat(one: Pointer, other: Pointer) -> Pointer;
    pub fn PyUnicode_AsUTF8AndSize(text: Pointer, size: *mut isize) -> *const c_char;
    pub fn PyUnicode_CompareWithASCIIString(text: Pointer, other: *const c_char) -> c_int;
    pub fn PyTuple_Size(tuple: Pointer) -> isize;
    pub fn PyTuple_GetItem(tuple: Pointer, index: isize) -> Pointer;
    pub fn PyDict_Size(dict: Pointer) -> isize;
    pub fn PyDict_GetItemWithError(dict: Pointer, key: Pointer) -> Pointer;
    pub fn PyLong_AsLong(number: Pointer) -> c_long;
    pub safe fn PyBool_FromLong(truth: c_long) -> Pointer;
    pub safe fn PyLong_FromLong(number: c_long) -> Pointer;
    pub fn PyLong_FromSsize_t(number: isize) -> Pointer;
    pub fn PyDescr_NewMethod(kind: Pointer, method: *const Method) -> Pointer;
    pub fn PyCFunction_NewEx(method: *const Method, this: Pointer, module: Pointer) -> Pointer;
    pub fn PyErr_SetFromErrno(kind: Pointer) -> Pointer;
    pub fn PyErr_SetString(kind: Pointer, message: *const c_char);
    pub fn PyErr_Fetch(kind: *mut Pointer, value: *mut Pointer, trace: *mut Pointer);
    pub fn PyErr_Restore(kind: Pointer, value: Pointer, trace: Pointer);
    pub safe fn PyErr_CheckSignals() -> c_int;
    pub safe fn PyErr_Clear();
    pub fn PyOS_BeforeFork();
    pub fn PyOS_AfterFork_Parent();
    pub fn PyOS_AfterFork_Child();
    pub safe fn PyEval_SaveThread() -> *mut c_void;
    pub fn PyEval_RestoreThread(state: *mut c_void);
}
