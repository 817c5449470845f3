# The daemon's own role, by EKS Pod Identity: what its rules need, and no more.
data "aws_iam_policy_document" "pod" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

resource "aws_iam_role" "daemon" {
  name               = local.name
  assume_role_policy = data.aws_iam_policy_document.pod.json
  tags               = local.tags
}

resource "aws_iam_role_policy" "daemon" {
  name   = "rules"
  role   = aws_iam_role.daemon.id
  policy = var.iam_policy_json
}

data "aws_iam_policy_document" "reads_queue" {
  statement {
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
    resources = [aws_sqs_queue.notices.arn]
  }
}

resource "aws_iam_role_policy" "queue" {
  name   = "queue"
  role   = aws_iam_role.daemon.id
  policy = data.aws_iam_policy_document.reads_queue.json
}

resource "aws_eks_pod_identity_association" "daemon" {
  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = "medevac"
  role_arn        = aws_iam_role.daemon.arn
}
