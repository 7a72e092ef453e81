{{- define "quorum.name" -}}
{{- printf "%s-%s" .root.Release.Name .job | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "quorum.selector" -}}
app.kubernetes.io/name: quorum
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .job }}
{{- end -}}

{{- define "quorum.labels" -}}
{{ include "quorum.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "quorum.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "quorum.subscription" -}}
projects/{{ .root.Values.project }}/subscriptions/{{ .root.Values.prefix }}-{{ .of }}
{{- end -}}

{{- define "quorum.topic" -}}
projects/{{ .root.Values.project }}/topics/{{ .root.Values.prefix }}-{{ .of }}
{{- end -}}

{{- /* A variable from a secret that exists; nothing where none is named. */ -}}
{{- define "quorum.secret" -}}
{{- if .secret.name }}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.key }}}
{{- end }}
{{- end -}}

{{- define "quorum.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /*
A pod: root, job, args (YAML), values of the job, grace in seconds, and optionally restart, database,
audit, signing (which secrets it has), keys, anchors, registry, webhooks, alerts, http (port), cache, image. Its metrics
have a port of their own where metrics are on, except for those of the web service.
*/ -}}
{{- define "quorum.pod" -}}
{{- $root := .root -}}
{{- $metrics := and $root.Values.metrics.enabled (not .restart) (ne .job "web") -}}
metadata:
  labels:
    {{- include "quorum.labels" . | nindent 4 }}
  annotations:
    checksum/settings: {{ include "quorum.files" $root | sha256sum }}
spec:
  serviceAccountName: {{ include "quorum.name" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with $root.Values.pullSecrets }}
  imagePullSecrets: {{ toJson . }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{ toJson . }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  {{- if not .restart }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "quorum.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .job }}
      image: {{ .image | default (include "quorum.image" $root) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- .args | nindent 8 }}
      env:
        - {name: QUORUM_SETTINGS, value: /etc/quorum/settings.yaml}
        {{- if .database }}
        {{- include "quorum.secret" (dict "variable" "QUORUM_DATABASE" "secret" $root.Values.secrets.database) | nindent 8 }}
        {{- end }}
        {{- if .audit }}
        {{- include "quorum.secret" (dict "variable" "QUORUM_AUDIT_KEY" "secret" $root.Values.secrets.audit) | nindent 8 }}
        {{- end }}
        {{- if .signing }}
        {{- include "quorum.secret" (dict "variable" "QUORUM_SIGNING_KEY" "secret" $root.Values.secrets.signing) | nindent 8 }}
        {{- end }}
        {{- if .anchors }}
        - {name: QUORUM_AUDIT_ANCHORS, value: /var/lib/quorum/anchors.jsonl}
        {{- include "quorum.secret" (dict "variable" "QUORUM_PROXY_SECRET" "secret" $root.Values.secrets.proxy) | nindent 8 }}
        {{- include "quorum.secret" (dict "variable" "QUORUM_OIDC_SECRET" "secret" $root.Values.secrets.oidc) | nindent 8 }}
        {{- end }}
      {{- $from := list }}
      {{- if and .registry $root.Values.secrets.registry }}
      {{- $from = append $from (dict "secretRef" (dict "name" $root.Values.secrets.registry "optional" true)) }}
      {{- end }}
      {{- if and .webhooks $root.Values.secrets.webhooks }}
      {{- $from = append $from (dict "secretRef" (dict "name" $root.Values.secrets.webhooks)) }}
      {{- end }}
      {{- if and .alerts $root.Values.secrets.alerts }}
      {{- $from = append $from (dict "secretRef" (dict "name" $root.Values.secrets.alerts)) }}
      {{- end }}
      {{- with $from }}
      envFrom: {{ toJson . }}
      {{- end }}
      {{- if or .http $metrics }}
      ports:
        {{- if .http }}
        - {name: http, containerPort: {{ .http }}}
        {{- end }}
        {{- if $metrics }}
        - {name: metrics, containerPort: 9464}
        {{- end }}
      {{- end }}
      {{- if .http }}
      startupProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
      {{- else if $metrics }}
      # Health and readiness need no key, unlike the metrics beside them.
      startupProbe:
        httpGet: {path: /health, port: metrics}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /health, port: metrics}
        periodSeconds: 30
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /ready, port: metrics}
        periodSeconds: 15
        timeoutSeconds: 5
      {{- else if not .restart }}
      # Metrics and health are on loopback only: they are asked for from inside.
      livenessProbe:
        exec: {command: [quorum, health, --live, --metrics-port=9464]}
        initialDelaySeconds: 60
        periodSeconds: 30
        timeoutSeconds: 15
      readinessProbe:
        exec: {command: [quorum, health, --metrics-port=9464]}
        initialDelaySeconds: 20
        periodSeconds: 30
        timeoutSeconds: 15
      {{- end }}
      resources: {{ toJson .values.resources }}
      securityContext:
        {{- include "quorum.confined" . | nindent 8 }}
      volumeMounts:
        - {name: settings, mountPath: /etc/quorum, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if .keys }}
        - {name: keys, mountPath: /etc/quorum-keys, readOnly: true}
        {{- end }}
        {{- if $metrics }}
        - {name: metrics, mountPath: /etc/quorum-metrics, readOnly: true}
        {{- end }}
        {{- if .anchors }}
        - {name: anchors, mountPath: /var/lib/quorum}
        {{- end }}
        {{- if .registry }}
        - {name: models, mountPath: /var/cache/quorum}
        {{- end }}
  volumes:
    - name: settings
      configMap: {name: {{ $root.Release.Name }}-settings}
    - name: tmp
      emptyDir: {sizeLimit: 2Gi}
    {{- if .keys }}
    - name: keys
      secret:
        secretName: {{ $root.Values.secrets.keys.name }}
        defaultMode: 288
        items: [{key: {{ $root.Values.secrets.keys.key }}, path: keys.txt}]
    {{- end }}
    {{- if $metrics }}
    - name: metrics
      secret:
        secretName: {{ $root.Values.metrics.keys.name }}
        defaultMode: 288
        items: [{key: {{ $root.Values.metrics.keys.key }}, path: keys.txt}]
    {{- end }}
    {{- if .anchors }}
    - name: anchors
      persistentVolumeClaim: {claimName: {{ include "quorum.name" . }}-anchors}
    {{- end }}
    {{- if .registry }}
    - name: models
      emptyDir: {sizeLimit: 4Gi}
    {{- end }}
{{- end -}}

{{- define "quorum.files" -}}
settings.yaml: {{ toYaml .Values.settings | quote }}
{{- if .Values.webhooks }}
webhooks.yaml: {{ toYaml .Values.webhooks | quote }}
{{- end }}
{{- range $name, $text := .Values.policies }}
{{ $name }}: {{ $text | quote }}
{{- end }}
{{- end -}}

{{- /* Where a job serves its metrics and health: on loopback, or for Prometheus' key on every address. */ -}}
{{- define "quorum.args.metrics" -}}
- --metrics-port=9464
{{- if .Values.metrics.enabled }}
- --metrics-host=0.0.0.0
- --metrics-keys=/etc/quorum-metrics/keys.txt
{{- end }}
{{- end -}}

{{- /* The arguments of each job, as YAML lists. */ -}}
{{- define "quorum.args.detect" -}}
- detect
- --uploads={{ include "quorum.subscription" (dict "root" . "of" "uploads-detect") }}
- --predictions={{ include "quorum.topic" (dict "root" . "of" "predictions") }}
- --dead-letters={{ include "quorum.topic" (dict "root" . "of" "dead-letters") }}
- --settings=/etc/quorum/settings.yaml
{{ include "quorum.args.metrics" . }}
- --drain-seconds=25
- --log-format=json
{{- end -}}
{{- define "quorum.args.decide" -}}
- decide
- --uploads={{ include "quorum.subscription" (dict "root" . "of" "uploads-decide") }}
- --predictions={{ include "quorum.subscription" (dict "root" . "of" "predictions-decide") }}
- --reviews={{ include "quorum.subscription" (dict "root" . "of" "reviews-decide") }}
{{- if .Values.livePolicies }}
- --policies={{ include "quorum.subscription" (dict "root" . "of" "policies-decide") }}
{{- end }}
- --verdicts={{ include "quorum.topic" (dict "root" . "of" "verdicts") }}
- --dead-letters={{ include "quorum.topic" (dict "root" . "of" "dead-letters") }}
- --settings=/etc/quorum/settings.yaml
{{ include "quorum.args.metrics" . }}
- --drain-seconds=25
- --log-format=json
{{- end -}}
{{- define "quorum.args.stream" -}}
- stream
- --uploads={{ include "quorum.subscription" (dict "root" . "of" "uploads-stream") }}
- --reviews={{ include "quorum.subscription" (dict "root" . "of" "reviews-stream") }}
{{- if .Values.livePolicies }}
- --policies={{ include "quorum.subscription" (dict "root" . "of" "policies-stream") }}
{{- end }}
- --predictions={{ include "quorum.topic" (dict "root" . "of" "predictions") }}
- --verdicts={{ include "quorum.topic" (dict "root" . "of" "verdicts") }}
- --dead-letters={{ include "quorum.topic" (dict "root" . "of" "dead-letters") }}
- --settings=/etc/quorum/settings.yaml
{{ include "quorum.args.metrics" . }}
- --drain-seconds=25
- --log-format=json
{{- end -}}
{{- define "quorum.args.record" -}}
- record
{{- range list "uploads" "predictions" "verdicts" "reviews" "policies" "dead-letters" }}
- --{{ . }}={{ include "quorum.subscription" (dict "root" $ "of" (printf "%s-record" .)) }}
{{- end }}
- --settings=/etc/quorum/settings.yaml
{{- if .Values.webhooks }}
- --webhooks=/etc/quorum/webhooks.yaml
{{- end }}
{{ include "quorum.args.metrics" . }}
- --log-format=json
{{- end -}}
{{- define "quorum.args.web" -}}
- serve
- --host=0.0.0.0
- --port=8080
- --settings=/etc/quorum/settings.yaml
- --keys=/etc/quorum-keys/keys.txt
{{- if .Values.livePolicies }}
- --policies=ledger
{{- end }}
- --drain-seconds=25
- --log-format=json
{{- end -}}
{{- define "quorum.args.console" -}}
- console
- --host=0.0.0.0
- --port=8090
- --https
{{- range .Values.console.hosts }}
- --allow-host={{ . }}
{{- end }}
{{- with .Values.console.userHeader }}
- --user-header={{ . }}
{{- end }}
{{- range .Values.console.proxies }}
- --proxy={{ . }}
{{- end }}
- --reviews={{ include "quorum.topic" (dict "root" . "of" "reviews") }}
{{- if .Values.livePolicies }}
- --policies={{ include "quorum.topic" (dict "root" . "of" "policies") }}
{{- end }}
- --keys=/etc/quorum-keys/keys.txt
- --settings=/etc/quorum/settings.yaml
{{- if .Values.metrics.enabled }}
{{ include "quorum.args.metrics" . }}
{{- end }}
- --log-format=json
{{- end -}}
{{- define "quorum.args.alerts" -}}
- alerts
- run
- --settings=/etc/quorum/settings.yaml
{{ include "quorum.args.metrics" . }}
- --log-format=json
{{- end -}}
