output "queue_url" {
  value       = aws_sqs_queue.notices.url
  description = "For `aws.queues` in the configuration."
}

output "backup" {
  value       = { vault = aws_backup_vault.eks_pv.name, role = aws_iam_role.backup.arn }
  description = "For `aws.backup` in the configuration."
}

output "role" {
  value       = aws_iam_role.daemon.arn
  description = "Of the daemon. It is given by EKS Pod Identity, which needs the add-on eks-pod-identity-agent; for IRSA it goes into the chart's serviceAccount.annotations."
}
