//! What is known of EC2's instance types.

/// GPUs of an instance type. `None`: it is not known here. Source: Amazon EC2 instance types, accelerated computing.
pub fn gpus_of(instance_type: &str) -> Option<u32> {
    let (family, size) = instance_type.split_once('.')?;
    let by_size = |sizes: &[(&str, u32)]| {
        sizes.iter().find(|(known, _)| *known == size).map(|(_, gpus)| *gpus)
    };
    match family {
        "p5" => by_size(&[("4xlarge", 1), ("48xlarge", 8)]),
        "p3dn" | "p4d" | "p4de" | "p5e" | "p5en" | "p6-b200" | "p6-b300" => Some(8),
        "p3" => by_size(&[("2xlarge", 1), ("8xlarge", 4), ("16xlarge", 8)]),
        "g4dn" => by_size(&[("12xlarge", 4), ("metal", 8)]).or(Some(1)),
        "g5" | "g6" | "g6e" => {
            by_size(&[("12xlarge", 4), ("24xlarge", 4), ("48xlarge", 8)]).or(Some(1))
        }
        "gr6" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_by_family_and_size() {
        assert_eq!(gpus_of("p5.48xlarge"), Some(8));
        assert_eq!(gpus_of("g5.12xlarge"), Some(4));
        assert_eq!(gpus_of("g6.xlarge"), Some(1));
        assert_eq!(gpus_of("m7i.large"), None);
    }
}
