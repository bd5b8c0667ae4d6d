/* SPDX-License-Identifier: Apache-2.0 */
/* The samples: as small as validation lets them be, with the parts in them whose form is particular. */
#include "samples.h"

#include <stddef.h>
#include <string.h>

#define TEMPLATE "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: 'i:1'}]}}"
#define JOB_SPEC "template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'i:1'}]}}"
#define SELECTOR "selector: {matchLabels: {app: x}}"
#define CONDITION(type)                                                                                                \
	"{status: {conditions: [{type: " type ", status: 'True', reason: Test, message: m, "                           \
	"lastTransitionTime: '2024-01-02T03:04:05Z'}]}}"
#define WEBHOOK                                                                                                        \
	"webhooks: [{name: a.example.com, clientConfig: {url: 'https://127.0.0.1:1/x'}, sideEffects: None, "           \
	"admissionReviewVersions: [v1], failurePolicy: Ignore, "                                                       \
	"rules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: [nones]}]}]"

const struct sample samples[] = {
	/* core */
	{ "", "ConfigMap", "data: {a: b}", "data: {a: c}", NULL, 0 },
	{ "", "Endpoints", "subsets: [{addresses: [{ip: 10.9.0.1}], ports: [{name: p, port: 80}]}]", "subsets: []",
	  NULL, 0 },
	{ "", "Event",
	  "{involvedObject: {kind: Pod, namespace: default, name: p, uid: u}, reason: Test, message: hello, type: Normal, "
	  "source: {component: test}, firstTimestamp: '2024-01-02T03:04:05Z', lastTimestamp: '2024-01-02T03:04:05Z', "
	  "count: 1}",
	  "count: 2", NULL, 0 },
	{ "", "LimitRange", "spec: {limits: [{type: Container, default: {cpu: 1}}]}",
	  "spec: {limits: [{type: Container, default: {cpu: 2}}]}", NULL, 0 },
	{ "", "Namespace", "{}", NULL, CONDITION("NamespaceContentRemaining"), LINGERS },
	{ "", "Node", "{}", "spec: {unschedulable: true}", CONDITION("Ready"), 0 },
	{ "", "PersistentVolume",
	  "spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], local: {path: /mnt/x}, storageClassName: slow, "
	  "nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, "
	  "values: [n]}]}]}}}",
	  "spec: {persistentVolumeReclaimPolicy: Delete}", "status: {phase: Available}", 0 },
	{ "", "PersistentVolumeClaim", "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}",
	  "spec: {volumeName: v}", "status: {phase: Bound, capacity: {storage: 1Gi}}", 0 },
	{ "", "Pod", "spec: {containers: [{name: c, image: 'i:1'}]}", "spec: {containers: [{name: c, image: 'i:2'}]}",
	  CONDITION("Ready"), 0 },
	{ "", "PodTemplate", TEMPLATE, "template: {metadata: {labels: {app: z}}}", NULL, 0 },
	{ "", "ReplicationController", "spec: {replicas: 1, " TEMPLATE "}", "spec: {replicas: 2}",
	  "status: {replicas: 1, observedGeneration: 1}", 0 },
	{ "", "ResourceQuota", "spec: {hard: {pods: '100'}}", "spec: {hard: {pods: '101'}}",
	  "status: {hard: {pods: '101'}}", 0 },
	{ "", "Secret", "stringData: {a: b}", "data: {a: Yw==}", NULL, 0 },
	{ "", "Service", "spec: {ports: [{port: 80}], selector: {app: x}}", "spec: {selector: {app: z}}",
	  CONDITION("Test"), 0 },
	{ "", "ServiceAccount", "secrets: [{name: s}]", "secrets: []", NULL, 0 },
	/* workloads */
	{ "apps", "ControllerRevision", "{data: {spec: {x: [1]}}, revision: 1}", "revision: 2", NULL, 0 },
	{ "apps", "DaemonSet", "spec: {" SELECTOR ", " TEMPLATE "}", "spec: {minReadySeconds: 2}",
	  "status: {numberReady: 3, observedGeneration: 1}", 0 },
	{ "apps", "Deployment", "spec: {" SELECTOR ", " TEMPLATE "}", "spec: {replicas: 2}", CONDITION("Available"),
	  0 },
	{ "apps", "ReplicaSet", "spec: {" SELECTOR ", " TEMPLATE "}", "spec: {replicas: 2}", "status: {replicas: 2}",
	  0 },
	{ "apps", "StatefulSet",
	  "spec: {serviceName: s, " SELECTOR ", " TEMPLATE ", volumeClaimTemplates: [{metadata: {name: data}, spec: "
	  "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}",
	  "spec: {replicas: 2}", "status: {replicas: 1, currentRevision: r}", 0 },
	{ "batch", "CronJob",
	  "spec: {schedule: '*/5 1-3 * jan,feb mon-fri', timeZone: UTC, jobTemplate: {spec: {" JOB_SPEC "}}}",
	  "spec: {suspend: true}", "status: {lastScheduleTime: '2024-01-02T03:04:05Z'}", 0 },
	{ "batch", "Job", "spec: {" JOB_SPEC "}", "spec: {parallelism: 2}", "status: {active: 1}", 0 },
	{ "autoscaling", "HorizontalPodAutoscaler",
	  "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, maxReplicas: 3}",
	  "spec: {maxReplicas: 4}", "status: {currentReplicas: 2, desiredReplicas: 3}", 0 },
	{ "events.k8s.io", "Event",
	  "{regarding: {kind: Pod, namespace: default, name: p, uid: u}, reason: Test, note: hello, type: Normal, "
	  "action: Testing, reportingController: example.com/test, reportingInstance: t-1, "
	  "eventTime: '2024-01-02T03:04:05.000006Z'}",
	  "series: {count: 2, lastObservedTime: '2024-01-02T03:05:05.000000Z'}", NULL, 0 },
	{ "policy", "PodDisruptionBudget", "spec: {minAvailable: 50%, " SELECTOR "}", "spec: {minAvailable: 1}",
	  "status: {disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2}", 0 },
	/* network */
	{ "discovery.k8s.io", "EndpointSlice",
	  "{addressType: IPv4, endpoints: [{addresses: [10.9.0.1]}], ports: [{name: p, port: 80}]}", "endpoints: []",
	  NULL, 0 },
	{ "networking.k8s.io", "Ingress",
	  "spec: {rules: [{host: '*.example.com', http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, "
	  "port: {number: 80}}}}]}}]}",
	  "spec: {ingressClassName: c}", "status: {loadBalancer: {ingress: [{ip: 10.9.0.9}]}}", 0 },
	{ "networking.k8s.io", "IngressClass", "spec: {controller: example.com/c}",
	  "spec: {parameters: {kind: K, name: n}}", NULL, 0 },
	{ "networking.k8s.io", "NetworkPolicy", "spec: {podSelector: {}}", "spec: {podSelector: {matchLabels: {a: b}}}",
	  NULL, 0 },
	/* storage */
	{ "storage.k8s.io", "CSIDriver", "spec: {podInfoOnMount: true}", "spec: {podInfoOnMount: false}", NULL, 0 },
	{ "storage.k8s.io", "CSINode", "spec: {drivers: [{name: d.example.com, nodeID: n}]}", "spec: {drivers: []}",
	  NULL, 0 },
	{ "storage.k8s.io", "CSIStorageCapacity", "{storageClassName: slow, capacity: 1Gi}", "capacity: 2Gi", NULL, 0 },
	{ "storage.k8s.io", "StorageClass", "{provisioner: example.com/p, parameters: {x: y}}",
	  "allowVolumeExpansion: true", NULL, 0 },
	{ "storage.k8s.io", "VolumeAttachment",
	  "spec: {attacher: d.example.com, nodeName: n, source: {persistentVolumeName: v}}", NULL,
	  "status: {attached: true}", 0 },
	/* the cluster itself */
	{ "coordination.k8s.io", "Lease", "spec: {holderIdentity: a}", "spec: {holderIdentity: b}", NULL, 0 },
	{ "scheduling.k8s.io", "PriorityClass", "value: 10", "description: x", NULL, 0 },
	{ "flowcontrol.apiserver.k8s.io", "FlowSchema",
	  "spec: {priorityLevelConfiguration: {name: exempt}, rules: [{subjects: [{kind: User, user: {name: nobody}}], "
	  "nonResourceRules: [{verbs: ['*'], nonResourceURLs: [/x]}]}]}",
	  "spec: {matchingPrecedence: 9000}", CONDITION("Test"), SHARED },
	{ "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration",
	  "spec: {type: Limited, limited: {nominalConcurrencyShares: 1, limitResponse: {type: Reject}}}",
	  "spec: {limited: {nominalConcurrencyShares: 2}}", CONDITION("Test"), SHARED },
	{ "skep.io", "LoadBalancerPool", "spec: {addresses: [192.0.2.0/28]}",
	  "spec: {addresses: [192.0.2.0/28, '2001:db8::1-2001:db8::9']}",
	  "{status: {total: 16, assigned: 1, conditions: [{type: Ready, status: 'True', reason: Test, message: m, "
	  "lastTransitionTime: '2024-01-02T03:04:05Z'}]}}",
	  0 },
	{ "skep.io", "NodeDataPlane", "metadata: {labels: {a: b}}", NULL,
	  "{status: {applied: [{resource: services, resourceVersion: '7'}], generation: 1, lastApplyMicroseconds: 900, services: 2, "
	  "policies: 0, endpoints: 3, xdp: native, appliedTime: '2024-01-02T03:04:05.000006Z'}}",
	  0 },
	{ "rbac.authorization.k8s.io", "ClusterRole", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]",
	  "rules: []", NULL, 0 },
	{ "rbac.authorization.k8s.io", "ClusterRoleBinding",
	  "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: User, "
	  "apiGroup: rbac.authorization.k8s.io, name: jane}]}",
	  "subjects: []", NULL, 0 },
	{ "rbac.authorization.k8s.io", "Role", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]",
	  "rules: []", NULL, 0 },
	{ "rbac.authorization.k8s.io", "RoleBinding",
	  "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: User, "
	  "apiGroup: rbac.authorization.k8s.io, name: jane}]}",
	  "subjects: []", NULL, 0 },
	{ "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", WEBHOOK, "webhooks: []", NULL, 0 },
	{ "admissionregistration.k8s.io", "MutatingWebhookConfiguration", WEBHOOK, "webhooks: []", NULL, 0 },
	{ "apiextensions.k8s.io", "CustomResourceDefinition",
	  "{metadata: {name: widgets.example.com}, spec: {group: example.com, scope: Namespaced, names: {plural: widgets, "
	  "kind: Widget}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}",
	  "spec: {names: {shortNames: [wi]}}", CONDITION("Test"), LINGERS | SHARED },
	{ "certificates.k8s.io", "CertificateSigningRequest",
	  "spec: {signerName: example.com/s, usages: [client auth], request: "
	  "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIWk1JR0FBZ0VBTUI0eERUQUxCZ05WQkFvTUJHUmxkbk14RFRB"
	  "TEJnTlZCQU1NQkdwaGJtVXdXVEFUQmdjcQpoa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVFiV3VqcGpPcmpSNzVFa0d4blQxVHhN"
	  "KzZpVk5KbnJCWHJmc2E5ClNSbHBPRjQ0TlBPcEZra0pZVGs1aVptb2FTR1RTamhndTVJejJIanh2Q3g0dVF0aW9BQXdDZ1lJS29a"
	  "SXpqMEUKQXdJRFNBQXdSUUlnVFdwLzVRSGdxdXFaa1lpemZtZ0YzL2JOemRGNGU3ZGk2SUFnNHRWVEQyTUNJUUROTHVadwo0TUNh"
	  "UzBmRWdiSFgxTjhmcnVLaUd4Y1pHeGNqaEZCSUJqTlh5UT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=}",
	  NULL, CONDITION("Failed"), 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

const struct sample *sample_of(const char *group, const char *kind)
{
	for (const struct sample *s = samples; s->kind; s++)
		if (!strcmp(s->group, group) && !strcmp(s->kind, kind))
			return s;
	return NULL;
}
