{{/* The name of the chart, short enough for a label. */}}
{{- define "claviger.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of objects; room is left for the longest ending. */}}
{{- define "claviger.fullname" -}}
{{- $name := include "claviger.name" . -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $name .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{- define "claviger.serviceAccountName" -}}
{{- $made := ternary (include "claviger.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end -}}

{{/* What never changes, so that it may select. */}}
{{- define "claviger.selectorLabels" -}}
app.kubernetes.io/name: {{ include "claviger.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: daemon
{{- end -}}

{{- define "claviger.labels" -}}
app.kubernetes.io/name: {{ include "claviger.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: claviger
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image by digest, else by tag; given image and the tag where none is. */}}
{{- define "claviger.reference" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .tag .image.tag }}
{{- end -}}
{{- end -}}

{{- define "claviger.image" -}}
{{- include "claviger.reference" (dict "image" .Values.image "tag" .Chart.AppVersion) -}}
{{- end -}}

{{/* clavigerd's own file. */}}
{{- define "claviger.settings" -}}
apiVersion: claviger.dev/v1alpha1
kind: Settings
source: { kubernetes: {} }
state: { directory: /var/lib/claviger/state }
{{- with .Values.settings.files.read }}
files: { read: {{ . | quote }} }
{{- end }}
{{- if .Values.http01.enabled }}
http01: { listen: {{ printf "%s:%d" .Values.http01.address (int .Values.http01.port) | quote }} }
{{- end }}
{{- with .Values.settings.resolvers }}
resolvers: {{ toJson . }}
{{- end }}
{{- $endpoints := dict }}
{{- range $name, $value := .Values.settings.endpoints }}
{{- if $value }}{{ $_ := set $endpoints $name $value }}{{ end }}
{{- end }}
{{- with $endpoints }}
endpoints: {{ toJson . }}
{{- end }}
admin:
  listen: "unix:/run/claviger/admin.sock"
{{- if .Values.admin.portForward }}
  portForward: {{ printf "127.0.0.1:%d" (int .Values.admin.port) | quote }}
{{- end }}
discovery: { secrets: {{ .Values.discovery.secrets }} }
metrics: { listen: {{ printf "%s:%d" .Values.metrics.address (int .Values.metrics.port) | quote }} }
log: { format: {{ .Values.settings.log.format }} }
{{- end -}}

{{/* How pods spread where nothing else is said. */}}
{{- define "claviger.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "claviger.selectorLabels" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* What contradicts itself and no schema can tell. */}}
{{- define "claviger.judge" -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor are both enabled, so that every series would be there twice: enable one of them" -}}
{{- end -}}
{{- if and .Values.http01.enabled (eq (int .Values.http01.port) (int .Values.metrics.port)) -}}
{{- fail (printf "http01.port and metrics.port are both %d: give them different ports" (int .Values.http01.port)) -}}
{{- end -}}
{{- if and .Values.admin.portForward (or (eq (int .Values.admin.port) (int .Values.metrics.port)) (and .Values.http01.enabled (eq (int .Values.admin.port) (int .Values.http01.port)))) -}}
{{- fail (printf "admin.port %d is metrics.port or http01.port too: give them different ports" (int .Values.admin.port)) -}}
{{- end -}}
{{- if and (not .Values.http01.enabled) (or .Values.http01.ingress.enabled .Values.http01.httpRoute.enabled) -}}
{{- fail "http01.ingress or http01.httpRoute is enabled while http01 is not: enable http01, or neither of them" -}}
{{- end -}}
{{- if and .Values.http01.httpRoute.enabled (not .Values.http01.httpRoute.parentRefs) -}}
{{- fail "http01.httpRoute has no parentRefs: name the Gateway that it belongs to" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (hasKey (.Values.state.volume | default dict) "persistentVolumeClaim") -}}
{{- fail "state.volume names one persistentVolumeClaim for several replicas, and each needs a volume of its own: use ephemeral, or one replica" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the rights would go to the namespace's default account; name one" -}}
{{- end -}}
{{- end -}}
