//! Why a certificate is not trusted, in words.

use rustls::CertificateError as Why;
use rustls::pki_types::UnixTime;

use crate::domain::instant;

/// What is wrong with the certificate that `host` shows.
pub fn reason(error: &rustls::Error, host: &str) -> String {
    let rustls::Error::InvalidCertificate(why) = error else {
        return "the server shows none".into();
    };
    match why {
        Why::UnknownIssuer => {
            "nobody who is trusted here signed it: it is self-signed, or under a root of a company or a proxy".into()
        }
        Why::ExpiredContext { not_after, .. } => format!("it expired on {}", day(*not_after)),
        Why::Expired => "it has expired".into(),
        Why::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}: is this machine's clock right?", day(*not_before))
        }
        Why::NotValidYet => "it is not valid yet: is this machine's clock right?".into(),
        Why::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            format!(
                "it is for {}, not for {host}",
                presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
            )
        }
        Why::NotValidForNameContext { .. } | Why::NotValidForName => format!("it is not for {host}"),
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => "it is not meant for a server".into(),
        Why::Revoked => "it was revoked".into(),
        Why::BadEncoding => "it cannot be read".into(),
        Why::BadSignature => "its signature is wrong".into(),
        Why::UnhandledCriticalExtension => "it demands something that is not known here".into(),
        // The checker's own errors have no words but their names.
        Why::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "it is an authority's own certificate, which no server may show: the server needs one under it".into()
            }
            name => in_words(name),
        },
        other => in_words(&format!("{other:?}")),
    }
}

fn day(time: UnixTime) -> String {
    let millis = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    instant::utc(millis)
}

/// `DnsName("api.example.org")` by the name alone.
fn bare(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

/// `UnsupportedCertVersion` as "unsupported cert version"; what it holds is left out.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars().take_while(|character| character.is_ascii_alphanumeric()) {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error};

    use super::reason;

    #[test]
    fn a_fault_without_a_sentence_of_its_own_is_told_in_the_words_of_its_name() {
        let told = |why| reason(&Error::InvalidCertificate(why), "h:1");
        assert_eq!(told(CertificateError::UnknownRevocationStatus), "unknown revocation status");
        assert_eq!(reason(&Error::NoCertificatesPresented, "h:1"), "the server shows none");
    }
}
