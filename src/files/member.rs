//! Names of archive members: a tensor's own name, made safe by percent-encoding where it is not.

use crate::error::is_plain;

/// A name as it is, slashes and all, so that numpy finds a tensor by it. As `%XX` only what could lead out of a folder that
/// the archive is unpacked into, or trick a terminal: the dots of a part `..`, backslashes, control characters and what
/// reverses text; and percent signs that [`decode`] would take for one of these.
pub(super) fn encode(name: &str) -> String {
    name.split('/').map(|part| encode_part(part, part == "..")).collect::<Vec<_>>().join("/")
}

fn encode_part(part: &str, leads_up: bool) -> String {
    let mut encoded = String::with_capacity(part.len());
    for (at, character) in part.char_indices() {
        let unsafe_here = match character {
            '.' => leads_up,
            '%' => escaped(&part.as_bytes()[at..]).is_some(),
            _ => character == '\\' || !is_plain(character),
        };
        if unsafe_here {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
        } else {
            encoded.push(character);
        }
    }
    encoded
}

/// Undoes [`encode`]. A foreign name with a percent sign that encodes nothing is left as it is.
pub(super) fn decode(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (value, tail) = escaped(rest).unwrap_or((byte, tail));
        bytes.push(value);
        rest = tail;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_string())
}

/// The byte that `%XX` at the beginning stands for, and what follows it.
fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&digits, tail) = bytes.strip_prefix(b"%")?.split_first_chunk::<2>()?;
    Some((hexadecimal(digits)?, tail))
}

fn hexadecimal(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_exporters_choose_are_kept() {
        for name in ["a", "/conv1/Conv_output_0", "StatefulPartitionedCall:0", "50%", ".hidden", "1...2", "é", "%zz"] {
            assert_eq!(encode(name), name);
            assert_eq!(decode(name), name);
        }
    }

    #[test]
    fn any_name_survives_and_none_leads_out_of_a_folder() {
        for name in
            ["..", "../../etc/passwd", "a/../b", "a\\..\\b", "%2E%2E/x", "%2F", "%252F", "\u{1b}[31m\n\0", "\u{202e}é"]
        {
            let encoded = encode(name);
            assert!(encoded.split('/').all(|part| part != ".."), "{encoded}");
            assert!(encoded.chars().all(|c| is_plain(c) && c != '\\'), "{encoded}");
            assert_ne!(encoded, name);
            assert_eq!(decode(&encoded), name);
        }
    }

    #[test]
    fn foreign_percent_signs_are_left_alone() {
        for name in ["100%", "%", "%2", "%zz", "a%+1b", "%FF"] {
            assert_eq!(decode(name), name);
        }
    }
}
