{{- /* Which objects are this release's. */ -}}
{{- define "cloister.labels" -}}
app.kubernetes.io/name: cloister
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cloister.policy" -}}
{{- .Values.policy | default (.Files.Get "policy.toml") -}}
{{- end }}

{{- /* An image with the chart's version where none is said: by a tag after the last slash, or a digest. */ -}}
{{- define "cloister.image" -}}
{{- if or (contains "@" .image) (contains ":" (base .image)) }}{{ .image }}{{ else }}{{ .image }}:{{ .version }}{{ end -}}
{{- end }}

{{- define "cloister.context" -}}
runAsUser: 0
runAsGroup: 0
readOnlyRootFilesystem: true
{{- if eq .Values.context "privileged" }}
privileged: true
{{- else }}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
  add: [CHOWN, DAC_OVERRIDE, KILL, SETGID, SETPCAP, SETUID]
procMount: Unmasked
seccompProfile: {type: Localhost, localhostProfile: cloister.json}
{{- end }}
{{- end }}
