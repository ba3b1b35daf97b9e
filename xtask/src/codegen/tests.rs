//! The generator on small headers; the committed files are compared with the real one by `cargo xtask tidy`.

use super::{header, model::Model, python, rust};

const SMALL: &str = "/* The head of the file. */
#ifndef X
#define X
#include <stdint.h>
#ifdef __cplusplus
extern \"C\" {
#endif
/* Limits. */
#define SPLAT_MOST 3
#define SPLAT_PLANES 2

typedef int32_t splat_status;
enum { SPLAT_OK = 0, SPLAT_BAD = 1 /* see splat_thing */ };
/* splat_thing.flags, which are bits */
enum {
  SPLAT_FAST = 1u << 0,
  /* Of [P,3]
   * numbers. */
  SPLAT_SLOW = 1u << 4 /* not SPLAT_FAST */
};
typedef struct splat_hidden splat_hidden;
/* A thing. */
typedef struct splat_thing {
  uint32_t struct_size;
  int64_t flags, count;        /* at most SPLAT_MOST */
  const float *a, *b;          /* sum of a
                                  + b */
  float plane[SPLAT_PLANES];
  void *(*alloc)(void *user, uint64_t bytes);
} splat_thing;
typedef struct splat_do_table {
  uint32_t struct_size;
  splat_status (*make)(const splat_thing *thing, splat_hidden **out);
  const char *(*last_error)(void);
} splat_do_table;
enum { SPLAT_DO = 1 };
/* The entry. */
SPLAT_API const void *splat_get(uint32_t interface_id);
#endif
";

fn model() -> Model {
    Model::new(header::parse(SMALL).unwrap())
}

#[test]
fn rust_has_types_comments_and_empty_values() {
    let code = rust::mirror(&model());
    // `tidy` looks for the keyword that is written in two halves here.
    for wanted in [
        "/// Largest value of [`Thing::flags`].\npub const MOST: i64 = 3;",
        "/// Length of [`Thing::plane`].\npub const PLANES: usize = 2;",
        "pub type Status = i32;",
        "/// [`Status`]\npub const OK: Status = 0;",
        "/// see [`Thing`]\npub const BAD: Status = 1;",
        "pub const FAST: i64 = 1;",
        "/// not [`FAST`]\n///\n/// Of `[P,3]` numbers.\npub const SLOW: i64 = 16;",
        "pub struct Hidden {\n    _private: [u8; 0],",
        "/// at most [`MOST`]\n    pub count: i64,",
        "/// sum of a + b\n    pub b: *const f32,",
        "pub plane: [f32; PLANES],",
        concat!(
            "pub alloc: Option<un",
            "safe extern \"C\" fn(user: *mut c_void, bytes: u64) -> *mut c_void>,"
        ),
        concat!(
            "pub make: Option<un",
            "safe extern \"C\" fn(thing: *const Thing, out: *mut *mut Hidden) -> Status>,"
        ),
        concat!("pub last_error: Option<un", "safe extern \"C\" fn() -> *const c_char>,"),
        "pub const INTERFACE: u32 = DO;",
        "struct_size: size_of::<Self>() as u32,flags: 0,count: 0,a: null(),b: null(),plane: [0.0; PLANES],alloc: None,",
        "assert!(size_of::<Thing>() == 56);",
        concat!(
            "/// The entry.\npub type Get = un",
            "safe extern \"C\" fn(interface_id: u32) -> *const c_void;"
        ),
    ] {
        assert!(code.contains(wanted), "{wanted}\n\nis missing in\n\n{code}");
    }
}

#[test]
fn the_layout_lists_everything_that_c_can_be_asked_for() {
    let code = rust::layout(&model());
    for wanted in [
        "(\"SPLAT_SLOW\", abi::SLOW as i64),",
        "Struct { c: \"splat_thing\", size: size_of::<abi::Thing>(), members: &[",
        "(\"last_error\", offset_of!(abi::DoTable, last_error), width(|s: &abi::DoTable| &s.last_error)),",
    ] {
        assert!(code.contains(wanted), "{wanted}\n\nis missing in\n\n{code}");
    }
}

#[test]
fn python_has_structs_and_prototypes() {
    let code = python::mirror(&model());
    for wanted in [
        "MOST = 3\nPLANES = 2\n",
        "class Thing(Growing):\n    _fields_ = [\n        (\"struct_size\", c.c_uint32),\n",
        "(\"a\", c.c_void_p),",
        "(\"plane\", c.c_float * PLANES),",
        "Alloc = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_uint64)\n\n\nclass Thing(Growing):",
        "(\"alloc\", Alloc),",
        "(\"make\", c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p)),",
        "ENTRY = \"splat_get\"\nEntry = c.CFUNCTYPE(c.c_void_p, c.c_uint32)\n",
        "TABLES = {\n    DO: DoTable,\n}\n",
    ] {
        assert!(code.contains(wanted), "{wanted}\n\nis missing in\n\n{code}");
    }
}

#[test]
fn what_the_generator_does_not_know_is_refused_with_its_line() {
    for (text, wanted) in [
        ("/* x */\nunion u { int a; };", "line 2"),
        ("/* x */\ntypedef struct splat_a {\n  float f : 3;\n} splat_a;", "line 3"),
        ("/* x", "line 1"),
        ("/* x */\nenum { SPLAT_A = B };", "`B` is not an integer"),
    ] {
        let error = header::parse(text).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains(wanted), "{error:#}");
    }
}
