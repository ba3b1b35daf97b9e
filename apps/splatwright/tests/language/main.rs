//! The program in Chinese: its catalogues hold every message of the sources and no other, each with the same placeholders and
//! commands; and what it prints for saved machines, codes and errors is Chinese, while JSON stays as it is.

mod program;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

fn catalogues() -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/language/zh/");
    let mut all = BTreeMap::new();
    for name in ["catalogue", "help", "messages"] {
        let catalogue = polib::po_file::parse(format!("{folder}{name}.po").as_ref()).unwrap();
        for message in catalogue.messages().filter(|message| !message.msgid().is_empty()) {
            let before = all.insert(message.msgid().to_owned(), message.msgstr().unwrap().to_owned());
            assert!(before.is_none(), "twice: {}", message.msgid());
        }
    }
    all
}

#[test]
fn the_catalogues_hold_every_message_and_no_other() {
    let (texts, catalogues) = (sources::all(), catalogues());
    let lacking: Vec<String> = texts
        .iter()
        .filter(|text| text.message && !catalogues.contains_key(&text.text))
        .map(|text| format!("{}: {}", text.place, text.text))
        .collect();
    assert!(lacking.is_empty(), "{} messages have no translation:\n{}", lacking.len(), lacking.join("\n"));
    assert!(texts.iter().filter(|text| text.message).count() > 900, "the sources are searched");
    let known: BTreeSet<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    let stale: Vec<&String> = catalogues.keys().filter(|key| !known.contains(key.as_str())).collect();
    assert!(stale.is_empty(), "no source says: {stale:#?}");
}

/// `{}` and `{name:.1}` by name, unnamed ones by their number.
fn placeholders(text: &str) -> BTreeSet<String> {
    let text = text.replace("{{", "").replace("}}", "");
    let mut unnamed = 0;
    let inner = text.split('{').skip(1).map(|part| part.split('}').next().unwrap());
    inner
        .map(|inner| match inner.split(':').next().unwrap() {
            "" => {
                unnamed += 1;
                (unnamed - 1).to_string()
            }
            name => name.to_owned(),
        })
        .collect()
}

#[test]
fn translations_keep_placeholders_and_commands() {
    for (english, chinese) in catalogues() {
        assert_eq!(placeholders(&english), placeholders(&chinese), "{english}\n{chinese}");
        let code =
            |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(code(&english), code(&chinese), "{english}\n{chinese}");
        // Chinese takes its own punctuation.
        let chars: Vec<char> = chinese.chars().collect();
        let wide = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        for pair in chars.windows(2) {
            assert!(!(wide(pair[0]) && ",;:!?()".contains(pair[1])), "{chinese}");
        }
    }
}
