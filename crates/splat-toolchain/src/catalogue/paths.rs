//! E90 to E93: paths, code pages and prompts.

use super::{Entry, fatal, harmless, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E90", "a compiler speaks another code page than Python reads")
        .because("cl and nvcc write in the system's code page (936 for Chinese), and torch or ninja decode it as something else")
        .then("UnicodeDecodeError although nothing is wrong with the build")
        .mended("compilers are told to speak English (VSLANG=1033), and what they say is read byte by byte; by hand: `set VSLANG=1033` and `chcp 65001`")
        .own("what compilers say is read byte by byte")
        .ruled()
        .logs(&[
            line(&["UnicodeDecodeError: 'utf-8' codec can't decode byte"]),
            line(&["UnicodeDecodeError: 'gbk' codec can't decode byte"]),
            line(&["LookupError: unknown encoding: cp"]),
            line(&["LookupError: unknown encoding: oem"]),
        ])
        .seen(&["pytorch#63584", "GauHuman#27", "Style-Your-Hair#20", "stylegan3#639", "comfyui-sdnq#20"]),
    fatal("E91", "a path with spaces or letters beyond ASCII")
        .because("flags are joined to one line by tools that split it again at spaces; ninja and nvcc on Windows read paths in the system's code page")
        .then("half a path is taken for a file")
        .mended("it is built in a folder with a plain name, out of the tree")
        .own("programs are started with lists of arguments; the build folder is the repository's: move it to a plain path where the plan warns")
        .ruled()
        .logs(&[
            line(&["A single input file is required for a non-link phase"]),
            line(&["LNK1181", "Files\\NVIDIA"]),
            line(&["ninja: error", "non-ASCII"]),
        ])
        .over(&["E29"])
        .seen(&["pytorch#38781", "pytorch#38670", "fastmoe#95", "TheRock#1207"]),
    fatal("E92", "a path longer than 260 characters")
        .because("Windows tools stop at 260 characters unless LongPathsEnabled is set and the tool agrees")
        .then("a file that exists cannot be opened")
        .mended("it is built in a folder with a short name; by hand: work in C:\\w")
        .own("the target folder's length is checked")
        .ruled()
        .logs(&[
            line(&["C1083", "Cannot open source file"]).without(&[".h'", ".hpp'"]),
            line(&["C1083", "Cannot open compiler generated file"]),
            line(&["The filename or extension is too long"]),
        ])
        .seen(&["xformers#1168", "xformers#1132", "tch#339"]),
    harmless("E93", "doskey macros are not there in the Visual Studio prompt")
        .because("macros belong to one console and its registry setting, which the prompt does not read; batch files never expand them")
        .then("a macro such as cuda126 is not recognized")
        .mend("`cargo xtask switch --install-shell cmd` writes a real .bat, which works there")
        .own("no macros are used")
        .logs(&[
            line(&["'cuda", "is not recognized as an internal or external command"]),
            line(&["'usecuda", "is not recognized as an internal or external command"]),
            line(&["'cuda", "不是内部或外部命令"]),
        ])
        .seen(&[]),
];
