//! Made-up names and languages.

/// Common family names with their weight out of 1,000, roughly as they occur in Taiwan.
const FAMILY_NAMES: [(&str, u64); 20] = [
    ("陳", 163),
    ("林", 121),
    ("黃", 88),
    ("張", 77),
    ("李", 75),
    ("王", 60),
    ("吳", 59),
    ("劉", 46),
    ("蔡", 43),
    ("楊", 39),
    ("許", 34),
    ("鄭", 28),
    ("謝", 26),
    ("洪", 22),
    ("郭", 22),
    ("邱", 22),
    ("曾", 21),
    ("廖", 20),
    ("賴", 19),
    ("徐", 15),
];
/// Syllables of given names; two make a name.
const GIVEN_SYLLABLES: [&str; 32] = [
    "怡", "志", "雅", "淑", "家", "俊", "宗", "建", "美", "文", "明", "佳", "欣", "惠", "冠", "宇",
    "承", "柏", "詩", "婷", "豪", "傑", "君", "玲", "芬", "翰", "宏", "穎", "涵", "廷", "安", "品",
];
/// Given names of foreign residents.
const FOREIGN_GIVEN: [&str; 12] = [
    "Siti", "Dewi", "Nguyen", "Maria", "Budi", "Somchai", "Kenji", "Yuki", "Anna", "Rizal", "Linh",
    "Peter",
];
/// Family names of foreign residents.
const FOREIGN_FAMILY: [&str; 12] = [
    "Rahayu", "Lestari", "Van Anh", "Santos", "Santoso", "Jaidee", "Tanaka", "Sato", "Kowalska",
    "Hidayat", "Tran", "Miller",
];

/// A name of one random word.
pub fn name(foreign: bool, draw: u64) -> String {
    let pick = |shift: u32, count: usize| ((draw >> shift) % count as u64) as usize;
    if foreign {
        return format!("{} {}", FOREIGN_GIVEN[pick(0, 12)], FOREIGN_FAMILY[pick(16, 12)]);
    }
    let total: u64 = FAMILY_NAMES.iter().map(|(_, weight)| weight).sum();
    let mut wanted = (draw >> 32) % total;
    let mut family = FAMILY_NAMES[0].0;
    for (candidate, weight) in FAMILY_NAMES {
        family = candidate;
        if wanted < weight {
            break;
        }
        wanted -= weight;
    }
    format!("{family}{}{}", GIVEN_SYLLABLES[pick(0, 32)], GIVEN_SYLLABLES[pick(8, 32)])
}

/// The language of the page used: nearly everybody's is zh-TW, foreign residents' varies.
pub fn language(foreign: bool, draw: u64) -> &'static str {
    match (foreign, draw % 10) {
        (false, _) | (true, 0) => "zh-TW",
        (true, 1..=3) => "en",
        (true, 4) => "ja",
        (true, _) => "id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_have_three_characters_and_foreign_ones_two_words() {
        for draw in (0..100_000u64).map(|index| index.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            assert_eq!(name(false, draw).chars().count(), 3);
            assert!(name(true, draw).contains(' '));
        }
    }
}
