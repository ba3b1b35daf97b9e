//! How the tools say the kinds of thing that fail: each kind once, in the words of every tool that can say it, so that
//! an entry of the catalogue only names the header, symbol or library that it is about.
//! In a wording `{}` is that name, `*` is anything in between, and the texts stand in this order in one line. Where
//! Microsoft's tools print a number (C1083), the number is looked for, because it is the same in every language.

/// A kind of failure and its wordings.
#[derive(Debug)]
pub struct Kind {
    /// What it is, in plain English; empty if the wordings are the texts themselves.
    pub meaning: &'static str,
    /// The wordings. One with curly quotation marks also stands for the same with straight ones.
    pub wordings: &'static [&'static str],
}

/// A text as it is.
pub static TEXT: Kind = Kind { meaning: "", wordings: &["{}"] };

/// The beginning of an `#include` that no compiler finds: GCC (English, German, Chinese), clang, MSVC, nvcc.
pub static HEADER: Kind = Kind {
    meaning: "a compiler does not find the header {}",
    wordings: &[
        "fatal error: {}*: No such file or directory",
        "fatal error: {}*: 没有那个文件或目录",
        "致命错误：{}*没有那个文件或目录",
        "schwerwiegender Fehler: {}*Datei oder Verzeichnis nicht gefunden",
        "fatal error: '{}*' file not found",
        "C1083*'{}",
        "C1083*\"{}",
        "C1083*“{}",
        "open source file \"{}",
    ],
};

/// A name that a compiler does not know, alone or in a namespace: nvcc, GCC (English, German, Chinese), clang, MSVC.
pub static NAME: Kind = Kind {
    meaning: "a compiler does not know the name {}",
    wordings: &[
        "»{}« wurde in diesem Gültigkeitsbereich nicht definiert",
        "»{}« wurde nicht deklariert",
        "»{}« bezeichnet keinen Typ",
        "‘{}’*尚未声明",
        "‘{}’*不是一个类型名",
        "“{}”*尚未声明",
        "“{}”*不是一个类型名",
        "identifier \"{}\" is undefined",
        "has no member \"{}\"",
        "‘{}’ was not declared in this scope",
        "‘{}’ does not name a type",
        "‘{}’ has not been declared",
        "‘{}’ is not a member of ‘std’",
        "‘{}’ in namespace ‘std’ does not name a type",
        "use of undeclared identifier '{}'",
        "unknown type name '{}'",
        "no type named '{}' in namespace 'std'",
        "no member named '{}' in namespace 'std'",
        "C2065: '{}'",
        "C2065: \"{}\"",
        "C2065: “{}”",
        "C2061*{}",
        "C2039: '{}'",
        "C2039: \"{}\"",
        "C2039: “{}”",
        "C3861: '{}'",
        "C3861: \"{}\"",
        "C3861: “{}”",
    ],
};

/// A member that namespace `cub` or `thrust` no longer has: nvcc, GCC, clang, MSVC.
pub static CCCL: Kind = Kind {
    meaning: "namespace cub or thrust has no {}",
    wordings: &[
        "namespace \"cub*\" has no member \"{}\"",
        "namespace \"thrust*\" has no member \"{}\"",
        "‘{}’ is not a member of ‘cub",
        "‘{}’ is not a member of ‘thrust",
        "no * named '{}' in namespace 'cub",
        "no * named '{}' in namespace 'thrust",
        "C2039: '{}'*'cub",
        "C2039: \"{}\"*\"cub",
        "C2039: “{}”*“cub",
    ],
};

/// The beginning of a library's name that no linker finds: GNU ld (English, German, Chinese) and gold, lld, mold,
/// link.exe, lld-link, Apple's.
pub static LIBRARY: Kind = Kind {
    meaning: "a linker does not find the library {}",
    wordings: &[
        "cannot find -l{}",
        "unable to find library -l{}",
        "library not found: {}",
        "library not found for -l{}",
        "ld: library '{}",
        "-l{}*kann nicht gefunden werden",
        "kann -l{}*nicht finden",
        "找不到 -l{}",
        "LNK1181*{}*.lib",
        "LNK1104*{}*.lib",
        "could not open '{}*.lib'",
    ],
};

/// The beginning of a C or C++ name that a linker lacks, as it is in the sources: GNU ld (English, German, Chinese) and gold,
/// lld.
pub static REFERENCE: Kind = Kind {
    meaning: "a linker lacks {}",
    wordings: &[
        "undefined reference to `{}",
        "undefined reference to '{}",
        "undefined symbol: {}",
        "undefinierter Verweis auf »{}",
        "对‘{}*未定义的引用",
        "对“{}*未定义的引用",
    ],
};

/// A piece of a decorated name that link.exe or lld-link lacks.
pub static DECORATED: Kind = Kind {
    meaning: "Microsoft's linker lacks a symbol of {}",
    wordings: &["LNK2001*{}", "LNK2019*{}", "lld-link: error: undefined symbol*{}"],
};

/// The beginning of a mangled name that the loader lacks: glibc, musl, Apple's.
pub static SYMBOL: Kind = Kind {
    meaning: "the loader lacks the symbol {}",
    wordings: &["undefined symbol: {}", "symbol not found*: {}", "Symbol not found: _{}"],
};

/// The beginning of a shared library's name that the loader does not find: glibc, musl, Apple's, Windows' (English,
/// German and Chinese) and Python's.
pub static SHARED: Kind = Kind {
    meaning: "the loader does not find {}",
    wordings: &[
        "{}*: cannot open shared object file",
        "Error loading shared library {}",
        "Library not loaded: *{}",
        "Could not find module '*{}",
        "Error loading \"*{}",
        "{}*was not found",
        "{}* wurde nicht gefunden",
        "找不到 {}",
        "找不到{}",
    ],
};

/// A module that Python does not find.
pub static MODULE: Kind = Kind {
    meaning: "Python does not find the module {}",
    wordings: &["No module named '{}'", "No module named '{}."],
};

/// A program that a shell, or Python, does not find: cmd and PowerShell (English, German, Chinese), sh, zsh, Python.
pub static COMMAND: Kind = Kind {
    meaning: "a shell does not find the command {}",
    wordings: &[
        "'{}' is not recognized as an internal or external command",
        "\"{}\" ist entweder falsch geschrieben oder",
        "'{}' 不是内部或外部命令",
        "The term '{}' is not recognized as",
        "Die Benennung \"{}\" wurde nicht als Name eines Cmdlet",
        "无法将“{}”项识别为 cmdlet",
        ": {}: command not found",
        ": {}: not found",
        "command not found: {}",
        "No such file or directory: '{}'",
    ],
};
