//! Cuts an input into pieces, as two of its bytes say.

/// The pieces of `input`, none of them empty. `rule` says how long they are, from
/// `b'0'` on: whole, one byte, short, long. `seed` chooses the lengths.
pub(super) fn pieces(rule: u8, seed: u8, input: &[u8]) -> Vec<&[u8]> {
    let longest = match rule.wrapping_sub(b'0') % 4 {
        0 => input.len().max(1),
        1 => return input.chunks(1).collect(),
        2 => 9,
        _ => 120,
    };
    if longest >= input.len() {
        return input.chunks(longest).collect();
    }
    let mut random = u64::from(seed) + 1;
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // Xorshift: good enough, because the lengths only have to differ.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let length = 1 + usize::try_from(random >> 33).unwrap_or(0) % longest;
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
