//! Visual Studio's build environment without its prompt: which batch file sets it up for a toolset, how it is called,
//! and what it changed, read from its own `set`. Text in, text out; running it is the caller's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::machine::HostCompiler;

/// Separates what the batch file prints from what `set` prints.
const MARK: &str = "SPLATWRIGHT-ENVIRONMENT";

/// A prompt to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// `vcvars64.bat` of the installation.
    pub batch: PathBuf,
    /// `14.38`: what `-vcvars_ver=` takes.
    pub toolset: String,
}

impl Prompt {
    /// The prompt of a compiler that vswhere led to; `None` for others, and where the installation has lost its
    /// batch file (E30).
    pub fn of(compiler: &HostCompiler) -> Option<Self> {
        let msvc = compiler.msvc.as_ref()?;
        Some(Self { batch: msvc.vcvars.clone()?, toolset: msvc.toolset.to_string() })
    }

    /// What stands after `cmd` on its command line, as one text: `cmd` has quoting rules of its own, so that this must
    /// not be quoted again. The outer quotes are taken off by `/s`; `/u` makes `echo` and `set` speak UTF-16, whatever
    /// the code page is (E90).
    pub fn command_line(&self) -> String {
        format!(
            "/d /u /s /c \"call \"{}\" -vcvars_ver={} && echo {MARK}&& set\"",
            // cmd takes `/` in a path for the beginning of an option.
            self.batch.display().to_string().replace('/', "\\"),
            self.toolset
        )
    }
}

/// Where the mark begins and ends in the output, and whether it stands there in UTF-16.
fn mark(output: &[u8]) -> Option<(usize, usize, bool)> {
    let wide: Vec<u8> = MARK.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = |needle: &[u8]| output.windows(needle.len()).position(|window| window == needle);
    let found = at(&wide).map(|start| (start, start + wide.len(), true));
    found.or_else(|| at(MARK.as_bytes()).map(|start| (start, start + MARK.len(), false)))
}

fn decoded(bytes: &[u8], wide: bool) -> String {
    if !wide {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// What the batch file itself said, before the mark. Programs that it ran wrote bytes between.
pub fn said(output: &[u8]) -> String {
    let end = mark(output).map_or(output.len(), |(start, ..)| start);
    decoded(&output[..end], output.get(1) == Some(&0))
}

/// The variables after the mark, upper case as Windows finds them in any; `None` where the batch file failed.
pub fn captured(output: &[u8]) -> Option<BTreeMap<String, String>> {
    let (_, end, wide) = mark(output)?;
    let after = decoded(&output[end..], wide);
    let pairs = after.lines().filter_map(|line| {
        // `=C:=C:\dir` are cmd's own notes.
        let (name, value) =
            line.trim_end_matches('\r').split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.trim().to_uppercase(), value.to_owned()))
    });
    let found: BTreeMap<String, String> = pairs.collect();
    // A batch file that finds nothing says so and ends well: without these nothing was set up.
    ["INCLUDE", "LIB", "PATH"].iter().all(|name| found.contains_key(*name)).then_some(found)
}

/// What the prompt changed, of `before` (names in any case).
pub fn changed<'a>(
    after: &BTreeMap<String, String>,
    before: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, String> {
    let before: BTreeMap<String, &str> =
        before.into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    let own = ["PROMPT", "PATHEXT", "COMSPEC"];
    after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(&value.as_str()) && !own.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether the environment is a 64-bit Visual Studio prompt already; `Some(false)` is the 32-bit one (E29).
pub fn entered(var: impl Fn(&str) -> Option<String>) -> Option<bool> {
    let target = var("VSCMD_ARG_TGT_ARCH")?;
    Some(target.eq_ignore_ascii_case("x64") && var("VSCMD_ARG_HOST_ARCH").is_none_or(|host| host != "x86"))
}

/// Longest path of an object file that a build in `root` makes from `source`, and whether tools without long paths
/// take it (260 characters with the end, E92). `ninja` and `cl` do not.
pub fn fits(root: &Path, source: &str) -> (usize, bool) {
    // build\temp.win-amd64-cpython-311\Release\<source>.obj, and rsp files beside it.
    let length =
        root.as_os_str().len() + 1 + "build\\temp.win-amd64-cpython-311\\Release\\".len() + source.len() + 4;
    (length, length < 260)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{CompilerKind, Msvc};

    fn compiler(vcvars: Option<&str>) -> HostCompiler {
        HostCompiler {
            kind: CompilerKind::Msvc,
            version: "19.38.33130".parse().unwrap(),
            msvc: Some(Msvc {
                product: "Visual Studio Build Tools 2022".into(),
                product_version: "17.8".parse().unwrap(),
                toolset: "14.38.33130".parse().unwrap(),
                vcvars: vcvars.map(Into::into),
                stl_cuda: None,
                default: false,
            }),
            ..HostCompiler::default()
        }
    }

    #[test]
    fn the_toolset_is_asked_for_by_its_own_number() {
        let prompt = Prompt::of(&compiler(Some(r"C:\VS 2022\VC\Auxiliary\Build\vcvars64.bat"))).unwrap();
        let line = prompt.command_line();
        assert!(
            line.contains(r#"call "C:\VS 2022\VC\Auxiliary\Build\vcvars64.bat" -vcvars_ver=14.38.33130 &&"#),
            "{line}"
        );
        assert_eq!(Prompt::of(&compiler(None)), None);
        assert_eq!(Prompt::of(&HostCompiler::default()), None);
    }

    #[test]
    fn only_what_stands_after_the_mark_and_was_changed_counts() {
        let said = format!(
            "** Visual Studio 2022 Developer Command Prompt\r\nPATH=no\r\n{MARK}\r\n=C:=C:\\x\r\nInclude=C:\\inc\r\nLIB=C:\\lib\r\n\
             Path=C:\\vc;C:\\old\r\nPROMPT=$P$G\r\nUSERNAME=王\r\nEMPTY=\r\nA=b=c\r\n"
        );
        let after = captured(said.as_bytes()).unwrap();
        assert_eq!(after["A"], "b=c");
        let changed = changed(&after, [("Path", "C:\\old"), ("UserName", "王")]);
        let names: Vec<&str> = changed.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "EMPTY", "INCLUDE", "LIB", "PATH"]);
        assert_eq!(changed["PATH"], "C:\\vc;C:\\old");
    }

    #[test]
    fn a_batch_file_that_sets_nothing_up_is_a_failure() {
        assert_eq!(
            captured(b"[ERROR:vcvars.bat] Toolset directory for version '14.38' was not found."),
            None
        );
        assert_eq!(captured(format!("{MARK}\r\nPATH=x\r\n").as_bytes()), None);
        // A cmd that does not know `/u`, in another code page than UTF-8, is no reason to give up.
        assert!(
            captured(b"\xd3\xd0SPLATWRIGHT-ENVIRONMENT\r\nPATH=\xd3\r\nLIB=l\r\nINCLUDE=i\r\n").is_some()
        );
    }

    #[test]
    fn utf_16_is_read_wherever_it_begins() {
        let text = format!("[vcvarsall.bat] 王\r\n{MARK}\r\nPATH=C:\\王;é\r\nLIB=l\r\nINCLUDE=i\r\n");
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(captured(&wide).unwrap()["PATH"], "C:\\王;é");
        assert_eq!(said(&wide).trim(), "[vcvarsall.bat] 王");
        // A program that the batch file ran wrote an odd number of bytes before.
        let shifted = [b"x".as_slice(), &wide].concat();
        assert_eq!(captured(&shifted).unwrap()["PATH"], "C:\\王;é");
    }

    #[test]
    fn prompts_for_32_bits_are_told() {
        let with = |list: &'static [(&str, &str)]| {
            entered(move |name| list.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("VSCMD_ARG_TGT_ARCH", "x64"), ("VSCMD_ARG_HOST_ARCH", "x64")]), Some(true));
        assert_eq!(with(&[("VSCMD_ARG_TGT_ARCH", "x86")]), Some(false));
        assert_eq!(with(&[("VSCMD_ARG_TGT_ARCH", "x64"), ("VSCMD_ARG_HOST_ARCH", "x86")]), Some(false));
    }

    #[test]
    fn long_names_are_counted_as_windows_counts() {
        assert!(fits(Path::new(r"C:\sw-abc\src"), "csrc\\rasterize.cu").1);
        let (length, fits) = fits(Path::new(&format!(r"C:\{}", "x".repeat(200))), "csrc\\rasterize.cu");
        assert!(!fits && length > 260);
    }
}
