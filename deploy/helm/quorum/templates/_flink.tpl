{{- /* Flink's configuration: strings alone. What the values say more or otherwise wins. */ -}}
{{- define "quorum.flink.configuration" -}}
{{- $flink := .Values.flink -}}
{{- $folder := $flink.stateFolder | trimSuffix "/" -}}
{{- $made := dict
  "taskmanager.numberOfTaskSlots" (toString $flink.taskManager.slots)
  "state.backend.type" "rocksdb"
  "state.backend.incremental" "true"
  "state.checkpoints.dir" (printf "%s/checkpoints" $folder)
  "state.savepoints.dir" (printf "%s/savepoints" $folder)
  "high-availability.type" "kubernetes"
  "high-availability.storageDir" (printf "%s/high-availability" $folder)
  "restart-strategy.type" "exponential-delay"
  "jobmanager.rpc.port" "6123"
  "blob.server.port" "6124"
  "rest.port" "8081"
  "taskmanager.data.port" "6121"
  "taskmanager.rpc.port" "6122"
-}}
{{- if $flink.autoscaling.enabled }}{{ $_ := set $made "jobmanager.scheduler" "adaptive" }}{{ end -}}
{{- range $key, $value := merge (deepCopy $flink.configuration) $made }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- /* A pod of Flink: root, part (jobmanager or taskmanager). The operator adds image and command. */ -}}
{{- define "quorum.flink.pod" -}}
{{- $root := .root -}}
{{- $flink := $root.Values.flink -}}
{{- $job := printf "flink-%s" .part -}}
metadata:
  labels:
    {{- include "quorum.labels" (dict "root" $root "job" $job) | nindent 4 }}
  annotations:
    checksum/settings: {{ include "quorum.files" $root | sha256sum }}
spec:
  # Its token leads and finds the leader, in config maps of this namespace.
  automountServiceAccountToken: true
  enableServiceLinks: false
  terminationGracePeriodSeconds: 60
  {{- with $root.Values.pullSecrets }}
  imagePullSecrets: {{ toJson . }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{ toJson . }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "quorum.selector" (dict "root" $root "job" $job) | nindent 10 }}
    {{- end }}
  securityContext:
    runAsNonRoot: true
    fsGroup: 9999
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: flink-main-container
      {{- if eq .part "jobmanager" }}
      startupProbe:
        httpGet: {path: /overview, port: 8081}
        periodSeconds: 3
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /overview, port: 8081}
        periodSeconds: 10
        timeoutSeconds: 5
      livenessProbe:
        tcpSocket: {port: 6123}
        periodSeconds: 20
        timeoutSeconds: 5
      {{- else }}
      startupProbe:
        tcpSocket: {port: 6122}
        periodSeconds: 3
        failureThreshold: 60
      livenessProbe:
        tcpSocket: {port: 6122}
        periodSeconds: 20
        timeoutSeconds: 5
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        runAsNonRoot: true
        runAsUser: 9999
        capabilities: {drop: [ALL]}
    {{- if eq .part "taskmanager" }}
    # Runs the detectors and the decision for the TaskManager; it listens on loopback alone.
    - name: worker-pool
      image: {{ include "quorum.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [worker-pool, --port=50000, --log-format=json]
      env:
        - {name: QUORUM_SETTINGS, value: /etc/quorum/settings.yaml}
        {{- include "quorum.secret" (dict "variable" "QUORUM_SIGNING_KEY" "secret" $root.Values.secrets.signing) | nindent 8 }}
      {{- $probe := list "python" "-c" "import socket; socket.create_connection(('127.0.0.1', 50000), 2).close()" }}
      startupProbe:
        exec: {command: {{ toJson $probe }}}
        periodSeconds: 3
        timeoutSeconds: 10
        failureThreshold: 60
      livenessProbe:
        exec: {command: {{ toJson $probe }}}
        periodSeconds: 30
        timeoutSeconds: 10
      readinessProbe:
        exec: {command: {{ toJson $probe }}}
        periodSeconds: 30
        timeoutSeconds: 10
      resources: {{ toJson $flink.worker.resources }}
      securityContext:
        runAsUser: 10001
        {{- include "quorum.confined" $root | nindent 8 }}
      volumeMounts:
        - {name: settings, mountPath: /etc/quorum, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        - {name: models, mountPath: /var/cache/quorum}
    {{- end }}
  {{- if eq .part "taskmanager" }}
  volumes:
    - name: settings
      configMap: {name: {{ $root.Release.Name }}-settings}
    - name: tmp
      emptyDir: {sizeLimit: 2Gi}
    - name: models
      emptyDir: {sizeLimit: 4Gi}
  {{- end }}
{{- end -}}

{{- define "quorum.args.flink" -}}
{{- $flink := .Values.flink -}}
{{- $most := ternary $flink.autoscaling.maxTaskManagers $flink.taskManager.replicas $flink.autoscaling.enabled -}}
- stream
- --uploads={{ include "quorum.subscription" (dict "root" . "of" "uploads-stream") }}
- --reviews={{ include "quorum.subscription" (dict "root" . "of" "reviews-stream") }}
- --predictions={{ include "quorum.topic" (dict "root" . "of" "predictions") }}
- --verdicts={{ include "quorum.topic" (dict "root" . "of" "verdicts") }}
- --dead-letters={{ include "quorum.topic" (dict "root" . "of" "dead-letters") }}
- --settings=/etc/quorum/settings.yaml
- --log-format=json
- --runner=flink
- --flink-master={{ include "quorum.name" (dict "root" . "job" "flink") }}-rest:8081
- --detach
- --
- --parallelism={{ mul $most $flink.taskManager.slots }}
{{- end -}}
