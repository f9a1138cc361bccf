//! Names of archive members: any tensor name, made safe by percent-encoding.

/// Every byte but `A-Z a-z 0-9 - _ .` as `%XX`, and so a leading dot: no separator, no `..`, no control character.
pub(super) fn encode(name: &str) -> String {
    let encoded = |(position, byte): (usize, u8)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        b'.' if position > 0 => ".".to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().enumerate().map(encoded).collect()
}

/// Undoes [`encode`]. A foreign name with a percent sign that encodes nothing is left as it is.
pub(super) fn decode(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = if byte == b'%' { tail.split_first_chunk::<2>() } else { None };
        let decoded = pair.and_then(|(&digits, tail)| Some((hexadecimal(digits)?, tail)));
        let (value, tail) = decoded.unwrap_or((byte, tail));
        bytes.push(value);
        rest = tail;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_string())
}

fn hexadecimal(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives_and_none_is_a_path() {
        for name in
            ["a", "/conv1/Conv_output_0", "..", "../../etc/passwd", ".hidden", "a\\b", "C:x", "50%", "%2F", "é\n\0"]
        {
            let encoded = encode(name);
            assert!(!encoded.contains(['/', '\\', ':']) && !encoded.starts_with('.'), "{encoded}");
            assert!(encoded.bytes().all(|b| b.is_ascii_graphic()), "{encoded}");
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
