{{- define "medevac.labels" -}}
app.kubernetes.io/name: medevac
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "medevac.selector" -}}
app.kubernetes.io/name: medevac
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "medevac.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "medevac.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "medevac.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "medevac.config" -}}
{{- $nats := dict "servers" .Values.nats.servers "replicas" .Values.nats.streamReplicas }}
{{- if .Values.nats.credentialsSecret }}
{{- $_ := set $nats "credentials_file" "/etc/medevac/nats/user.creds" }}
{{- end }}
{{- toYaml (mergeOverwrite (dict "nats" $nats) .Values.config) }}
{{- end }}
