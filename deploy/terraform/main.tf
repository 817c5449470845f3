# What Medevac needs of AWS, and what the operational guide has: the queue that notices come by, the role of the daemon, the
# nightly backups of volumes, and versions of artifacts.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

locals {
  name = "medevac-${var.cluster_name}"
  tags = merge({ "medevac.dev/cluster" = var.cluster_name }, var.tags)
}

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
