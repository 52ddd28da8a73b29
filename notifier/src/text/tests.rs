//! The texts as they read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use domain::{CountyNumber, Day, DistrictNumber, SiteNumber, VaccineNumber};

fn site() -> Site {
    Site {
        id: "63000070-H01".into(),
        name_zh: "臺北市萬華區健康服務中心".into(),
        name_en: "Wanhua District Health Centre, Taipei City".into(),
        county: CountyNumber(0),
        district: DistrictNumber(6),
        address: "臺北市萬華區東園街152號".into(),
        kind: "health_centre".into(),
    }
}

fn slot() -> Slot {
    Slot {
        site: SiteNumber(0),
        // Tuesday, 13 July 2021.
        day: Day(18_821),
        start_minute: 9 * 60,
        end_minute: 12 * 60 + 5,
        vaccine: VaccineNumber(0),
        capacity: 50,
    }
}

fn render(kind: MessageKind, language: u8, vaccine: &str) -> String {
    let (site, slot) = (site(), slot());
    let details = Details { site: &site, slot: &slot, vaccine, booking: BookingNumber(1_234_567) };
    let mut out = String::new();
    Texts::read().unwrap().push(kind, language, &details, &mut out);
    out
}

#[test]
fn texts_read_as_written_in_every_language() {
    use MessageKind::{Cancelled, Changed, Confirmed};
    let table = [
        (
            Confirmed,
            0,
            "Moderna",
            "【1922】預約成功：莫德納疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567，請攜帶健保卡或身分證件準時前往。",
        ),
        (
            Changed,
            0,
            "AZ",
            "【1922】預約已更改：AZ疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567，請攜帶健保卡或身分證件準時前往。",
        ),
        (
            Cancelled,
            0,
            "AZ",
            "【1922】預約已取消：AZ疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567。",
        ),
        (
            Confirmed,
            1,
            "AZ",
            "1922: Your booking is confirmed. AZ vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567. Please bring your NHI card or ID.",
        ),
        (
            Changed,
            1,
            "AZ",
            "1922: Your booking has been moved. AZ vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567. Please bring your NHI card or ID.",
        ),
        (
            Cancelled,
            1,
            "Moderna",
            "1922: Your booking has been cancelled. Moderna vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567.",
        ),
        (
            Confirmed,
            2,
            "AZ",
            "【1922】ワクチン接種の予約が完了しました。アストラゼネカ、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。健康保険カードまたは身分証をお持ちください。",
        ),
        (
            Changed,
            2,
            "Moderna",
            "【1922】ワクチン接種の予約を変更しました。モデルナ、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。健康保険カードまたは身分証をお持ちください。",
        ),
        (
            Cancelled,
            2,
            "新疫苗",
            "【1922】ワクチン接種の予約を取り消しました。新疫苗、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。",
        ),
        (
            Confirmed,
            3,
            "AZ",
            "1922: Pemesanan Anda berhasil. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567. Harap bawa kartu NHI atau kartu identitas.",
        ),
        (
            Changed,
            3,
            "AZ",
            "1922: Pemesanan Anda telah diubah. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567. Harap bawa kartu NHI atau kartu identitas.",
        ),
        (
            Cancelled,
            3,
            "AZ",
            "1922: Pemesanan Anda telah dibatalkan. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567.",
        ),
    ];
    for (kind, language, vaccine, expected) in table {
        assert_eq!(render(kind, language, vaccine), expected, "{kind:?} {language}");
    }
}

#[test]
fn an_unknown_language_is_written_in_chinese() {
    let chinese = render(MessageKind::Confirmed, 0, "AZ");
    for language in [4, 9, u8::MAX] {
        assert_eq!(render(MessageKind::Confirmed, language, "AZ"), chinese);
    }
}

#[test]
fn names_of_operators_cannot_break_a_text() {
    let (mut site, slot) = (site(), slot());
    site.name_en = String::new();
    site.name_zh = "第一\r\n{site}醫院\u{0}".into();
    let details = Details { site: &site, slot: &slot, vaccine: "A\tZ", booking: BookingNumber(0) };
    let mut out = String::new();
    Texts::read().unwrap().push(MessageKind::Cancelled, 1, &details, &mut out);
    assert!(out.contains("第一  {site}醫院 . Booking no. 0."), "{out}");
    assert!(out.contains("A Z vaccine"), "{out}");
}

#[test]
fn broken_texts_are_refused_when_read() {
    let good = LANGUAGES[1].1;
    let cases = [
        ("an unknown field", good.replacen("{booking}", "{bokking}", 1)),
        ("a field of another text", good.replacen("{weekday}", "{site}", 1)),
        ("a field left out", good.replacen("{booking}", "", 1)),
        ("a stray brace", good.replacen("{booking}", "{booking", 1)),
        ("a closing brace", good.replacen("{booking}", "booking}", 1)),
        ("a missing text", good.replacen("changed =", "moved =", 1)),
        ("six weekdays", good.replacen("\"Mon\", ", "", 1)),
    ];
    assert!(Language::parse(good).is_ok());
    for (what, text) in cases {
        assert!(Language::parse(&text).is_err(), "{what}");
    }
}

#[test]
fn latin_texts_keep_to_the_gsm_alphabet() {
    for (tag, text) in [LANGUAGES[1], LANGUAGES[3]] {
        let file: File = toml::from_str(text).unwrap();
        for text in [&file.confirmed, &file.changed, &file.cancelled, &file.date, &file.time] {
            assert!(
                text.is_ascii() && !text.contains(['`', '[', ']', '^', '\\', '~', '|']),
                "{tag}: {text}"
            );
        }
    }
}
