//! Signatures that plugins have checked, by the cryptography that TLS brings along: it weighs two megabytes, and five
//! plugins would bring it five times.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ccproxy_plugin_abi::SignatureCheck;

use crate::fault::{Code, Fault};

/// Whether the key signed the message. A key that is none has signed nothing.
pub(super) fn is_signed(check: &SignatureCheck) -> Result<bool, Fault> {
    let curve = |algorithm: &'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(algorithm, check.key.as_slice()).verify(&check.message, &check.signature)
    };
    let rsa = |parameters: &'static RsaParameters| {
        RsaPublicKeyComponents { n: check.key.as_slice(), e: check.exponent.as_slice() }.verify(
            parameters,
            &check.message,
            &check.signature,
        )
    };
    let verified = match check.algorithm.as_str() {
        "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
        "ES256" => curve(&ECDSA_P256_SHA256_FIXED),
        "ES384" => curve(&ECDSA_P384_SHA384_FIXED),
        "EdDSA" => curve(&ED25519),
        // No HMAC, whose key would be public.
        other => {
            return Err(Fault::new(Code::Unsupported, format!("no signatures of `{other}` are checked")));
        }
    };
    Ok(verified.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    };
    use pretty_assertions::assert_eq;

    const MESSAGE: &[u8] = b"header.claims";

    fn check(algorithm: &str, key: &[u8], exponent: &[u8], signature: &[u8]) -> SignatureCheck {
        SignatureCheck {
            algorithm: algorithm.into(),
            key: key.into(),
            exponent: exponent.into(),
            message: MESSAGE.into(),
            signature: signature.into(),
            ext: Vec::new().into(),
        }
    }

    /// One good signature of each kind.
    fn good() -> Vec<SignatureCheck> {
        let random = SystemRandom::new();
        let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let of_rsa = |name: &str, encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(encoding, &random, MESSAGE, &mut signature).unwrap();
            let key = rsa.public_key();
            check(
                name,
                key.modulus().big_endian_without_leading_zero(),
                key.exponent().big_endian_without_leading_zero(),
                &signature,
            )
        };
        let of_curve = |name: &str, algorithm: &'static EcdsaSigningAlgorithm| {
            let pair = EcdsaKeyPair::generate(algorithm).unwrap();
            let signature = pair.sign(&random, MESSAGE).unwrap();
            check(name, pair.public_key().as_ref(), &[], signature.as_ref())
        };
        let edwards = Ed25519KeyPair::generate().unwrap();
        vec![
            of_rsa("RS256", &RSA_PKCS1_SHA256),
            of_rsa("RS384", &RSA_PKCS1_SHA384),
            of_rsa("RS512", &RSA_PKCS1_SHA512),
            of_rsa("PS256", &RSA_PSS_SHA256),
            of_curve("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            of_curve("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            check("EdDSA", edwards.public_key().as_ref(), &[], edwards.sign(MESSAGE).as_ref()),
        ]
    }

    #[test]
    fn a_good_signature_is_good_for_its_message_key_and_algorithm_only() {
        let all = good();
        for (number, good) in all.iter().enumerate() {
            assert_eq!(is_signed(good), Ok(true), "{}", good.algorithm);
            let other = SignatureCheck { message: b"header.other".as_slice().into(), ..good.clone() };
            assert_eq!(is_signed(&other), Ok(false), "{}: another message", good.algorithm);
            for other in all.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other)
            {
                let renamed = SignatureCheck { algorithm: other.algorithm.clone(), ..good.clone() };
                assert_eq!(is_signed(&renamed), Ok(false), "{} as {}", good.algorithm, other.algorithm);
                let swapped = SignatureCheck { signature: other.signature.clone(), ..good.clone() };
                assert_eq!(is_signed(&swapped), Ok(false), "{} by {}", good.algorithm, other.algorithm);
            }
        }
    }

    #[test]
    fn what_is_no_key_has_signed_nothing() {
        for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
            for key in [b"".as_slice(), b"\x04", &[0; 32], &[0xff; 65]] {
                assert_eq!(is_signed(&check(algorithm, key, b"\x01\x00\x01", &[0; 64])), Ok(false));
            }
        }
    }

    #[test]
    fn a_key_too_short_to_be_safe_has_signed_nothing() {
        let short = [0xc5; 128]; // 1024 bits
        assert_eq!(is_signed(&check("RS256", &short, b"\x01\x00\x01", &[0; 128])), Ok(false));
    }

    #[test]
    fn other_algorithms_are_refused_by_name() {
        for algorithm in ["none", "HS256", "RS1", "rs256", ""] {
            let refused = is_signed(&check(algorithm, b"", b"", b"")).unwrap_err();
            assert_eq!(refused.code, Code::Unsupported);
            assert!(refused.message.contains(&format!("`{algorithm}`")));
        }
    }
}
