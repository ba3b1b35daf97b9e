//! E90 to E94: paths, code pages, prompts and disks.

use super::{
    Entry, fatal, harmless,
    pattern::{command, texts},
};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E90", "a compiler writes another code page than Python reads")
        .because("cl and nvcc write in the system's code page (936 for Chinese), and torch or ninja decode it as something else")
        .then("UnicodeDecodeError, although nothing is wrong with the build")
        .mended("compilers are told to speak English (VSLANG=1033), and their output is read as bytes; by hand: `set VSLANG=1033`, `set PYTHONUTF8=1` and `chcp 65001`")
        .own("the output of compilers is read as bytes")
        .ruled()
        .logs(&[texts(&[
            "UnicodeDecodeError: '*' codec can't decode byte",
            "LookupError: unknown encoding: cp",
            "LookupError: unknown encoding: oem",
        ])])
        .seen(&["pytorch#63584", "GauHuman#27", "Style-Your-Hair#20", "stylegan3#639", "comfyui-sdnq#20"]),
    fatal("E91", "a path has spaces or letters beyond ASCII")
        .because("some tools join flags to one line, and others split it again at the spaces; ninja and nvcc on Windows read paths in the system's code page")
        .then("half a path is taken for a file")
        .mended("the extension is built in a folder with a plain name, outside of its sources")
        .own("programs are started with lists of arguments; the build folder is the repository's, so move the repository to a plain path if the plan warns")
        .ruled()
        .logs(&[
            texts(&[
                "A single input file is required for a non-link phase",
                "nvcc fatal*Don't know what to do with '",
                "LNK1181*Files\\",
                "LNK1104*'Files\\",
                "ninja: error*non-ASCII",
            ]),
            command(&["C:\\Program"]),
        ])
        .over(&["E29"])
        .seen(&["pytorch#38781", "pytorch#38670", "fastmoe#95", "TheRock#1207"]),
    fatal("E92", "a path is longer than 260 characters")
        .because("Windows tools stop at 260 characters unless LongPathsEnabled is set and the tool supports it")
        .then("a file that exists cannot be opened")
        .mended("the extension is built in a folder with a short name; by hand: work in C:\\w")
        .own("the length of the target folder is checked")
        .ruled()
        .logs(&[texts(&[
            "C1083: Cannot open source file",
            "C1083: Cannot open compiler generated file",
            "C1083: Datei (Quelle)",
            "C1083: Datei (Vom Compiler generiert)",
            "C1083: 无法打开源文件",
            "C1083: 无法打开编译器生成的文件",
            "The filename or extension is too long",
            "Der Dateiname oder die Erweiterung ist zu lang",
            "文件名或扩展名太长",
            "[WinError 206]",
        ])])
        .seen(&["xformers#1168", "xformers#1132", "tch#339"]),
    harmless("E93", "doskey macros do not exist in the Visual Studio prompt")
        .because("macros belong to one console and its setting in the registry, which the prompt does not read; batch files never expand them")
        .then("a macro such as cuda126 is not recognized")
        .mend("`cargo xtask switch --install-shell cmd` writes a real .bat file, which works there")
        .own("no macros are used")
        .logs(&[texts(&[
            "'cuda*' is not recognized as an internal or external command",
            "'usecuda' is not recognized as an internal or external command",
            "\"cuda*\" ist entweder falsch geschrieben oder",
            "\"usecuda\" ist entweder falsch geschrieben oder",
            "'cuda*' 不是内部或外部命令",
            "'usecuda' 不是内部或外部命令",
        ])])
        .seen(&[]),
    fatal("E94", "the disk is full")
        .because("a torch and a toolkit take several gigabytes each, pip unpacks into the folder for temporary files, and that is often a small disk of its own (/tmp, a container's layer)")
        .then("a file cannot be written, by pip, a compiler or the linker")
        .mend("`df -h . /tmp` shows which disk it is. `pip cache purge` frees pip's copies; `export TMPDIR=<a folder on a larger disk>` moves the temporary files")
        .own("what was written half is removed, and nothing that existed is harmed")
        .logs(&[texts(&[
            "No space left on device",
            "[Errno 28]",
            "There is not enough space on the disk",
            "Es steht nicht genügend Speicherplatz auf dem Datenträger zur Verfügung",
            "磁盘空间不足",
            "LNK1180",
        ])])
        .seen(&[]),
];
