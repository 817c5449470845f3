# The guide's vault and plan. The vault is there in any case: the step `aws_backup` puts its recovery points into it.
resource "aws_backup_vault" "eks_pv" {
  name = "${local.name}-pv"
  tags = local.tags
}

data "aws_iam_policy_document" "backup" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name               = "${local.name}-backup"
  assume_role_policy = data.aws_iam_policy_document.backup.json
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "backup" {
  role       = aws_iam_role.backup.name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
}

resource "aws_backup_plan" "eks_pv_backup" {
  count = var.backup_plan ? 1 : 0
  name  = "eks-pv-backup-plan"
  rule {
    rule_name         = "daily-backup"
    target_vault_name = aws_backup_vault.eks_pv.name
    schedule          = "cron(0 2 * * ? *)"
    lifecycle {
      delete_after = 30
    }
  }
  tags = local.tags
}

resource "aws_backup_selection" "eks_pv" {
  count        = var.backup_plan ? 1 : 0
  name         = "tagged"
  plan_id      = aws_backup_plan.eks_pv_backup[0].id
  iam_role_arn = aws_iam_role.backup.arn
  selection_tag {
    type  = "STRINGEQUALS"
    key   = var.backup_selection_tag.key
    value = var.backup_selection_tag.value
  }
}
