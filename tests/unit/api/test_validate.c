/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: checking, pruning, defaults and validation, as tables of documents and what is said of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "api/api_types.h"
#include "../documents.h"

struct vcase {
	const char *obj;
	const char *old;  /* NULL: creation */
	const char *want; /* "": valid; else part of what is said */
};

static void run(const struct api_kind *kind, const struct vcase *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct api_errs errs = { 0 };
		json_t *obj = from_json(t[i].obj), *old = t[i].old ? from_json(t[i].old) : NULL;
		char said[4096];

		api_check(kind->type, obj, &errs);
		errs_text(&errs, said, sizeof(said));
		cr_assert_eq(errs.n, 0, "case %zu: %s", i, said);
		api_prune(kind->type, obj);
		api_default(kind, obj);
		if (old)
			api_default(kind, old);
		api_validate(kind, obj, old, &errs);
		errs_text(&errs, said, sizeof(said));
		if (!*t[i].want)
			cr_assert_eq(errs.n, 0, "case %zu: %s", i, said);
		else
			cr_assert(strstr(said, t[i].want), "case %zu: said '%s', not '%s'", i, said, t[i].want);
		api_errs_done(&errs);
		json_decref(obj);
		json_decref(old);
	}
}
#define RUN(kind, t) run(kind, t, sizeof(t) / sizeof((t)[0]))

#define META	  "\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"}"
#define C1	  "{\"name\":\"c\",\"image\":\"i\"}"
#define POD(spec) "{" META ",\"spec\":{" spec "}}"
#define POD_C(c)  POD("\"containers\":[{\"name\":\"c\",\"image\":\"i\"," c "}]")

Test(api_validate, pods)
{
	static const struct vcase t[] = {
		{ POD("\"containers\":[" C1 "]"), NULL, "" },
		{ "{" META "}", NULL, "spec.containers: Required value" },
		{ POD("\"containers\":[]"), NULL, "spec.containers: Required value" },
		{ POD("\"containers\":[" C1 "," C1 "]"), NULL, "spec.containers[1].name: Duplicate value: \"c\"" },
		{ POD("\"containers\":[" C1 "],\"initContainers\":[" C1 "]"), NULL,
		  "spec.initContainers[0].name: Duplicate value: \"c\"" },
		{ POD("\"containers\":[{\"name\":\"C\",\"image\":\"i\"}]"), NULL,
		  "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label must" },
		{ POD("\"containers\":[{\"name\":\"c\"}]"), NULL, "spec.containers[0].image: Required value" },
		{ POD_C("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]"), NULL,
		  "spec.containers[0].volumeMounts[0].name: Not found: \"v\"" },
		{ POD_C("\"ports\":[{\"containerPort\":0}]"), NULL,
		  "spec.containers[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inclusive" },
		{ POD_C("\"ports\":[{\"containerPort\":1,\"hostPort\":1}]"), NULL,
		  "hostPort: Forbidden: hostPort is not supported by Skep yet: " },
		{ POD_C("\"ports\":[{\"containerPort\":1,\"protocol\":\"SCTP\"}]"), NULL, "" },
		{ POD_C("\"ports\":[{\"containerPort\":1,\"protocol\":\"X\"}]"), NULL,
		  "protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", \"SCTP\"" },
		{ POD_C("\"ports\":[{\"containerPort\":1,\"name\":\"a\"},{\"containerPort\":2,\"name\":\"a\"}]"), NULL,
		  "spec.containers[0].ports[1].name: Duplicate value: \"a\"" },
		{ POD_C("\"resources\":{\"requests\":{\"cpu\":2},\"limits\":{\"cpu\":\"1\"}}"), NULL,
		  "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1" },
		{ POD_C("\"resources\":{\"limits\":{\"nvidia.com/gpu\":1}}"), NULL,
		  "limits[nvidia.com/gpu]: Forbidden: " },
		{ POD_C("\"livenessProbe\":{}"), NULL, "livenessProbe: Required value: must specify a handler type" },
		{ POD_C("\"livenessProbe\":{\"exec\":{\"command\":[\"a\"]},\"successThreshold\":2}"), NULL,
		  "Invalid value: 2: must be 1" },
		{ POD_C("\"readinessProbe\":{\"grpc\":{\"port\":1}}"), NULL,
		  "readinessProbe.grpc: Forbidden: grpc is not supported by Skep yet" },
		{ POD_C("\"readinessProbe\":{\"httpGet\":{\"port\":70000}}"), NULL,
		  "httpGet.port: Invalid value: 70000: must be between" },
		{ POD_C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['a/b']\"}}},"
			"{\"name\":\"B\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}]"),
		  NULL, "" },
		{ POD_C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.x\"}}}]"), NULL,
		  "fieldRef.fieldPath: Unsupported value: \"spec.x\"" },
		{ POD_C("\"env\":[{\"name\":\"A=\"}]"), NULL, "env[0].name: Invalid value: \"A=\"" },
		{ POD_C("\"env\":[{\"name\":\"A\",\"value\":\"x\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]"),
		  NULL, "may not be specified when `value` is not empty" },
		{ POD_C("\"lifecycle\":{\"preStop\":{}}"), NULL,
		  "lifecycle: Forbidden: lifecycle is not supported by Skep yet" },
		{ POD_C("\"securityContext\":{\"privileged\":true,\"allowPrivilegeEscalation\":false}"), NULL,
		  "cannot set" },
		{ POD("\"containers\":[" C1 "],\"affinity\":{\"nodeAffinity\":{}}"), NULL,
		  "spec.affinity: Forbidden: affinity is not supported" },
		{ POD("\"containers\":[" C1
		      "],\"affinity\":{},\"hostPID\":false,\"priority\":0,\"shareProcessNamespace\":false"),
		  NULL, "" },
		{ POD("\"containers\":[" C1 "],\"hostPID\":true"), NULL, "spec.hostPID: Forbidden: " },
		{ POD("\"containers\":[" C1 "],\"automountServiceAccountToken\":true"), NULL, "" },
		{ POD("\"containers\":[" C1 "],\"restartPolicy\":\"Sometimes\""), NULL,
		  "spec.restartPolicy: Unsupported value: \"Sometimes\"" },
		{ POD("\"containers\":[" C1 "],\"dnsPolicy\":\"None\""), NULL,
		  "must provide at least one DNS nameserver" },
		{ POD("\"containers\":[" C1 "],\"volumes\":[{\"name\":\"v\"}]"), NULL, "" },
		{ POD("\"containers\":[" C1
		      "],\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/\"}}]"),
		  NULL, "may not specify more than 1 volume type" },
		{ POD("\"containers\":[" C1 "],\"volumes\":[{\"name\":\"v\",\"csi\":{\"driver\":\"d\"}}]"), NULL,
		  "spec.volumes[0].csi: Forbidden: csi is not supported by Skep yet" },
		{ POD("\"containers\":[" C1 "],\"tolerations\":[{\"operator\":\"Equal\"}]"), NULL,
		  "operator must be Exists when `key` is empty" },
		{ POD("\"containers\":[" C1 "],\"terminationGracePeriodSeconds\":-1"), NULL,
		  "must be greater than or equal to 0" },
		/* updates */
		{ POD("\"containers\":[{\"name\":\"c\",\"image\":\"j\",\"imagePullPolicy\":\"Always\"}]"),
		  POD("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"imagePullPolicy\":\"Always\"}]"), "" },
		{ POD("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"command\":[\"a\"]}]"),
		  POD("\"containers\":[" C1 "]"), "spec: Forbidden: pod updates may not change fields other than" },
		{ POD("\"containers\":[" C1
		      "],\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"},{\"key\":\"b\",\"operator\":\"Exists\"}]"),
		  POD("\"containers\":[" C1 "],\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]"), "" },
		{ POD("\"containers\":[" C1 "]"),
		  POD("\"containers\":[" C1 "],\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]"),
		  "existing toleration can not be modified" },
		{ POD("\"containers\":[" C1 "],\"activeDeadlineSeconds\":9"),
		  POD("\"containers\":[" C1 "],\"activeDeadlineSeconds\":5"),
		  "must be less than or equal to previous value" },
	};

	RUN(&api_kind_pod, t);
}

#define PROJECTED(sources)                                                                                                            \
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],\"volumes\":" \
	"[{\"name\":\"v\",\"projected\":{\"sources\":[" sources "]}}]}}"
#define SOURCES "spec.volumes[0].projected.sources[0]"

Test(api_validate, projected_volumes)
{
	static const struct vcase t[] = {
		{ PROJECTED(
			  "{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":3607}},"
			  "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
			  "{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\","
			  "\"fieldPath\":\"metadata.namespace\"}}]}}"),
		  NULL, "" },
		{ PROJECTED("{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":599}}"), NULL,
		  SOURCES ".serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less "
			  "than 10 minutes" },
		{ PROJECTED("{\"serviceAccountToken\":{\"path\":\"../token\"}}"), NULL,
		  SOURCES ".serviceAccountToken.path: Invalid value: \"../token\": must not contain '..'" },
		{ PROJECTED("{\"serviceAccountToken\":{\"path\":\"/token\"}}"), NULL,
		  SOURCES ".serviceAccountToken.path: Invalid value: \"/token\": must be a relative path" },
		{ PROJECTED("{\"secret\":{}}"), NULL, SOURCES ".secret.name: Required value" },
		{ PROJECTED("{}"), NULL, SOURCES ": Required value: must specify a volume type" },
		{ PROJECTED("{\"secret\":{\"name\":\"s\"},\"configMap\":{\"name\":\"c\"}}"), NULL,
		  SOURCES ".configMap: Forbidden: may not specify more than 1 volume type" },
		{ PROJECTED("{\"downwardAPI\":{\"items\":[{\"path\":\"x\"}]}}"), NULL,
		  SOURCES ".downwardAPI.items[0]: Required value: must specify one of: fieldRef and resourceFieldRef" },
		{ PROJECTED(
			  "{\"downwardAPI\":{\"items\":[{\"path\":\"x\",\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}]}}"),
		  NULL,
		  SOURCES
		  ".downwardAPI.items[0].fieldRef.fieldPath: Unsupported value: \"status.podIP\": supported values: "
		  "\"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", "
		  "\"metadata.uid\"" },
	};

	run(&api_kind_pod, t, sizeof(t) / sizeof(t[0]));
}

Test(api_validate, metadata)
{
	static const struct vcase t[] = {
		{ "{\"metadata\":{\"name\":\"a.b-c\",\"namespace\":\"d\"}}", NULL, "" },
		{ "{\"metadata\":{\"namespace\":\"d\"}}", NULL,
		  "metadata.name: Required value: name or generateName is required" },
		{ "{}", NULL, "metadata.namespace: Required value" },
		{ "{\"metadata\":{\"name\":\"a_b\",\"namespace\":\"d\"}}", NULL,
		  "metadata.name: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain" },
		{ "{\"metadata\":{\"name\":\"x\",\"generateName\":\"x-\",\"namespace\":\"d\"}}", NULL, "" },
		{ "{\"metadata\":{\"name\":\"x\",\"generateName\":\"_\",\"namespace\":\"d\"}}", NULL,
		  "metadata.generateName: Invalid value" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"labels\":{\"-a\":\"b\"}}}", NULL,
		  "metadata.labels: Invalid value: \"-a\": name part must" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"labels\":{\"a.b/c\":\"-\"}}}", NULL,
		  "metadata.labels: Invalid value: \"-\": a valid label must" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"annotations\":{\"A/b/c\":\"\"}}}", NULL,
		  "metadata.annotations: Invalid value" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"finalizers\":[\"mine\"]}}", NULL,
		  "neither a standard finalizer name" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"a\"}]}}",
		  NULL, "metadata.ownerReferences[0].uid: Required value" },
		{ "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\",\"ownerReferences\":["
		  "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"a\",\"uid\":\"1\",\"controller\":true},"
		  "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"b\",\"uid\":\"2\",\"controller\":true}]}}",
		  NULL,
		  "Only one reference can have Controller set to true. Found \"true\" in references for a and b" },
	};

	RUN(&api_kind_config_map, t);
}

#define DEPLOY(spec) "{" META ",\"spec\":{" spec "}}"
#define FORWARDING(mode)                                                                                               \
	"{\"metadata\":{\"name\":\"s\",\"namespace\":\"d\",\"annotations\":{\"skep.io/forwarding-mode\":\"" mode       \
	"\"}},"                                                                                                        \
	"\"spec\":{\"ports\":[{\"port\":80}]}}"
#define SEL_A  "\"selector\":{\"matchLabels\":{\"a\":\"b\"}}"
#define TMPL_A "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[" C1 "]}}"

Test(api_validate, deployments)
{
	static const struct vcase t[] = {
		{ DEPLOY(SEL_A "," TMPL_A), NULL, "" },
		{ DEPLOY(TMPL_A), NULL, "spec.selector: Required value" },
		{ DEPLOY(SEL_A), NULL, "spec.template.spec.containers: Required value" },
		{ DEPLOY("\"selector\":{}," TMPL_A), NULL, "empty selector is invalid for deployment" },
		{ DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"c\"}}," TMPL_A), NULL,
		  "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`" },
		{ DEPLOY("\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b\",\"c\"]}]}," TMPL_A),
		  NULL, "" },
		{ DEPLOY("\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}," TMPL_A), NULL,
		  "must be specified when `operator`" },
		{ DEPLOY("\"replicas\":-1," SEL_A "," TMPL_A), NULL,
		  "spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
		{ DEPLOY("\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":0}}," SEL_A "," TMPL_A),
		  NULL, "may not be 0 when `maxSurge` is 0" },
		{ DEPLOY("\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"x%\"}}," SEL_A "," TMPL_A), NULL,
		  "a valid percent string must" },
		{ DEPLOY("\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":{}}," SEL_A "," TMPL_A), NULL,
		  "may not be specified when strategy `type`" },
		{ DEPLOY("\"progressDeadlineSeconds\":5,\"minReadySeconds\":5," SEL_A "," TMPL_A), NULL,
		  "must be greater than minReadySeconds" },
		{ DEPLOY(SEL_A "," TMPL_A), DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"c\"}}," TMPL_A),
		  "field is immutable" },
		{ DEPLOY(SEL_A
			 ",\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[" C1
			 "]}}"),
		  NULL,
		  "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"" },
	};

	RUN(&api_kind_deployment, t);
}

Test(api_validate, services)
{
	static const struct vcase t[] = {
		{ DEPLOY("\"ports\":[{\"port\":80}]"), NULL, "" },
		{ "{\"metadata\":{\"name\":\"1x\",\"namespace\":\"d\"},\"spec\":{\"ports\":[{\"port\":80}]}}", NULL,
		  "a DNS-1035 label must" },
		{ "{" META "}", NULL, "spec.ports: Required value" },
		{ DEPLOY("\"clusterIP\":\"None\""), NULL, "" },
		{ DEPLOY("\"ports\":[{\"port\":80,\"protocol\":\"SCTP\"}]"), NULL,
		  "spec.ports[0].protocol: Forbidden: protocol SCTP is not supported by Skep yet: TCP and UDP are" },
		{ DEPLOY("\"ports\":[{\"port\":80},{\"port\":81,\"name\":\"b\"}]"), NULL,
		  "spec.ports[0].name: Required value" },
		{ DEPLOY("\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":80,\"name\":\"b\"}]"), NULL,
		  "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}" },
		{ DEPLOY("\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"a\"}]"), NULL,
		  "spec.ports[1].name: Duplicate value: \"a\"" },
		{ DEPLOY("\"type\":\"NodePort\",\"ports\":[{\"port\":80}]"), NULL, "" },
		{ DEPLOY("\"type\":\"ExternalName\",\"externalName\":\"a.b\""), NULL,
		  "spec.type: Forbidden: type ExternalName is not supported by Skep yet: there is no cluster DNS to name it" },
		{ FORWARDING("dsr"), NULL, "" },
		{ FORWARDING("DSR"), NULL,
		  "metadata.annotations[skep.io/forwarding-mode]: Unsupported value: \"DSR\": supported values: \"dsr\", \"snat\"" },
		{ DEPLOY("\"type\":\"X\",\"ports\":[{\"port\":80}]"), NULL,
		  "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\"" },
		{ DEPLOY("\"ports\":[{\"port\":80,\"nodePort\":30080}]"), NULL,
		  "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" },
		{ DEPLOY("\"type\":\"NodePort\",\"ports\":[{\"name\":\"a\",\"port\":80,\"nodePort\":30080},"
			 "{\"name\":\"b\",\"port\":81,\"nodePort\":30080}]"),
		  NULL, "spec.ports[1].nodePort: Duplicate value: 30080" },
		{ DEPLOY("\"type\":\"NodePort\",\"ports\":[{\"name\":\"a\",\"port\":80,\"nodePort\":30080},"
			 "{\"name\":\"b\",\"port\":80,\"protocol\":\"UDP\",\"nodePort\":30080}]"),
		  NULL, "" },
		{ DEPLOY("\"type\":\"NodePort\",\"clusterIP\":\"None\",\"ports\":[{\"port\":80}]"), NULL,
		  "spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for NodePort services" },
		{ DEPLOY("\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"port\":80}]"), NULL,
		  "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services" },
		{ DEPLOY("\"externalIPs\":[\"192.0.2.1\",\"2001:db8::1\"],\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"port\":80}]"),
		  NULL, "" },
		{ DEPLOY("\"externalIPs\":[\"192.0.2.1\",\"127.0.0.1\"],\"ports\":[{\"port\":80}]"), NULL,
		  "spec.externalIPs[1]: Invalid value: \"127.0.0.1\": may not be in the loopback range" },
		{ DEPLOY("\"externalIPs\":[\"fe80::1\"],\"ports\":[{\"port\":80}]"), NULL,
		  "spec.externalIPs[0]: Invalid value: \"fe80::1\": may not be in the link-local range" },
		{ DEPLOY("\"externalIPs\":[\"x\"],\"ports\":[{\"port\":80}]"), NULL, "must be a valid IP address" },
		{ DEPLOY("\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"],\"ports\":[{\"port\":80}]"), NULL,
		  "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'" },
		{ DEPLOY("\"type\":\"LoadBalancer\",\"loadBalancerSourceRanges\":[\"10.0.0.0\"],\"ports\":[{\"port\":80}]"),
		  NULL, "spec.loadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value" },
		{ DEPLOY("\"type\":\"NodePort\",\"loadBalancerClass\":\"a.b/c\",\"ports\":[{\"port\":80}]"), NULL,
		  "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'" },
		{ DEPLOY("\"type\":\"LoadBalancer\",\"loadBalancerClass\":\"a.b/c\",\"ports\":[{\"port\":80}]"),
		  DEPLOY("\"type\":\"LoadBalancer\",\"loadBalancerClass\":\"a.b/d\",\"ports\":[{\"port\":80}]"),
		  "spec.loadBalancerClass: Invalid value: \"a.b/c\": may not change once set" },
		{ DEPLOY("\"type\":\"NodePort\",\"allocateLoadBalancerNodePorts\":false,\"ports\":[{\"port\":80}]"),
		  NULL,
		  "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'" },
		{ DEPLOY("\"type\":\"NodePort\",\"healthCheckNodePort\":30100,\"ports\":[{\"port\":80}]"), NULL,
		  "spec.healthCheckNodePort: Invalid value: 30100: may only be set when `type` is 'LoadBalancer' and "
		  "`externalTrafficPolicy` is 'Local'" },
		{ DEPLOY("\"sessionAffinity\":\"None\",\"ports\":[{\"port\":80,\"targetPort\":\"Web\"}]"), NULL,
		  "targetPort: Invalid value: \"Web\"" },
		{ DEPLOY("\"sessionAffinity\":\"ClientIP\",\"ports\":[{\"port\":80}]"), NULL, "" },
		{ DEPLOY("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":86400}},"
			 "\"ports\":[{\"port\":80}]"),
		  NULL, "" },
		{ DEPLOY("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":86401}},"
			 "\"ports\":[{\"port\":80}]"),
		  NULL,
		  "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and "
		  "less than or equal to 86400" },
		{ DEPLOY("\"clusterIP\":\"10.0.0.300\",\"ports\":[{\"port\":80}]"), NULL,
		  "must be a valid IP address" },
		{ DEPLOY("\"clusterIP\":\"10.0.0.2\",\"ports\":[{\"port\":80}]"),
		  DEPLOY("\"clusterIP\":\"10.0.0.1\",\"ports\":[{\"port\":80}]"),
		  "spec.clusterIP: Invalid value: \"10.0.0.2\": field is immutable" },
	};

	RUN(&api_kind_service, t);
}

#define WEIGHT(text)	    "\"annotations\":{\"skep.io/weight\":\"" text "\"}"
#define WEIGHED(text, more) "{\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"," WEIGHT(text) "}," more "}"

Test(api_validate, weights_of_backends)
{
	static const char wrong[] =
		"metadata.annotations[skep.io/weight]: Invalid value: \"1001\": must be a number from 0 to 1000";
	static const struct vcase pods[] = {
		{ WEIGHED("0", "\"spec\":{\"containers\":[" C1 "]}"), NULL, "" },
		{ WEIGHED("1000", "\"spec\":{\"containers\":[" C1 "]}"), NULL, "" },
		{ WEIGHED("1001", "\"spec\":{\"containers\":[" C1 "]}"), NULL, wrong },
	};
	static const struct vcase slices[] = {
		{ WEIGHED("50", "\"addressType\":\"IPv4\",\"endpoints\":[]"), NULL, "" },
		{ WEIGHED("1001", "\"addressType\":\"IPv4\",\"endpoints\":[]"), NULL, wrong },
	};
	static const struct vcase deployments[] = {
		{ DEPLOY(SEL_A ",\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}," WEIGHT(
			  "few") "},\"spec\":{\"containers\":[" C1 "]}}"),
		  NULL,
		  "spec.template.metadata.annotations[skep.io/weight]: Invalid value: \"few\": must be a number from 0 to 1000" },
	};

	RUN(&api_kind_pod, pods);
	RUN(&api_kind_endpoint_slice, slices);
	RUN(&api_kind_deployment, deployments);
}

Test(api_validate, network_policies)
{
	static const struct vcase t[] = {
		{ DEPLOY("\"podSelector\":{}"), NULL, "" },
		{ DEPLOY("\"ingress\":[{\"from\":[{}]}]"), NULL,
		  "spec.ingress[0].from[0]: Required value: must specify a peer" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]}}]}]"),
		  NULL, "" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"11.1.0.0/16\"]}}]}]"),
		  NULL, "must be a strict subset of `cidr`" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.0.0.0/8\"]}}]}]"),
		  NULL, "strict subset" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0\"}}]}]"), NULL,
		  "cidr: Invalid value: \"10.0.0\": must be a valid CIDR value" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"::/0\",\"except\":[\"fd00::/8\"]}}]}]"), NULL,
		  "" },
		{ DEPLOY("\"egress\":[{\"to\":[{\"podSelector\":{},\"ipBlock\":{\"cidr\":\"::/0\"}}]}]"), NULL,
		  "may not specify both ipBlock and another peer" },
		{ DEPLOY("\"ingress\":[{\"ports\":[{\"endPort\":5}]}]"), NULL,
		  "must be specified when `endPort` is specified" },
		{ DEPLOY("\"ingress\":[{\"ports\":[{\"port\":\"a\",\"endPort\":5}]}]"), NULL, "`port` is non-numeric" },
		{ DEPLOY("\"ingress\":[{\"ports\":[{\"port\":6,\"endPort\":5}]}]"), NULL,
		  "must be greater than or equal to `port`" },
		{ DEPLOY("\"policyTypes\":[\"Sideways\"]"), NULL,
		  "spec.policyTypes[0]: Unsupported value: \"Sideways\"" },
	};

	RUN(&api_kind_network_policy, t);
}

Test(api_validate, secrets_nodes_slices)
{
	static const struct vcase secrets[] = {
		{ "{" META ",\"stringData\":{\"a\":\"b\"}}", NULL, "" },
		{ "{" META ",\"data\":{\"a/b\":\"\"}}", NULL,
		  "data[a/b]: Invalid value: \"a/b\": a valid config key must" },
		{ "{" META ",\"type\":\"kubernetes.io/tls\"}", NULL, "data[tls.crt]: Required value" },
		{ "{" META ",\"type\":\"a\"}", "{" META ",\"type\":\"b\"}",
		  "type: Invalid value: \"a\": field is immutable" },
		{ "{" META ",\"data\":{\"a\":\"YQ==\"}}", "{" META ",\"immutable\":true}",
		  "data: Forbidden: field is immutable when `immutable` is set" },
	};
	static const struct vcase nodes[] = {
		{ "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"podCIDR\":\"10.0.0.0/24\"}}", NULL, "" },
		{ "{\"metadata\":{\"name\":\"n\",\"namespace\":\"d\"}}", NULL,
		  "metadata.namespace: Forbidden: not allowed on this type" },
		{ "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"podCIDR\":\"10.0.1.0/24\"}}",
		  "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"podCIDR\":\"10.0.0.0/24\"}}",
		  "node updates may not change podCIDR" },
		{ "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"},{\"key\":\"a\",\"effect\":\"NoSchedule\"}]}}",
		  NULL, "taints must be unique by key and effect pair" },
	};
	static const struct vcase slices[] = {
		{ "{" META
		  ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}],\"ports\":[{\"port\":80}]}",
		  NULL, "" },
		{ "{" META ",\"endpoints\":[]}", NULL, "addressType: Required value" },
		{ "{" META ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"::1\"]}]}", NULL,
		  "must be an IPv4 address" },
		{ "{" META ",\"addressType\":\"IPv4\",\"endpoints\":[{}]}", NULL,
		  "endpoints[0].addresses: Required value" },
		{ "{" META ",\"addressType\":\"IPv4\",\"ports\":[{\"port\":1},{\"port\":2}]}", NULL,
		  "ports[1].name: Duplicate value: \"\"" },
	};

	RUN(&api_kind_secret, secrets);
	RUN(&api_kind_node, nodes);
	RUN(&api_kind_endpoint_slice, slices);
}

Test(api_check, wrong_types_and_unknown_fields)
{
	static const struct {
		const char *obj, *want;
	} t[] = {
		{ "{\"spec\":{\"contaners\":[]}}", "spec.contaners: unknown field \"spec.contaners\"" },
		{ "{\"spec\":{\"containers\":{}}}", "spec.containers: Invalid value: object: must be a list" },
		{ "{\"spec\":{\"containers\":[{\"name\":5}]}}",
		  "spec.containers[0].name: Invalid value: number: must be a string" },
		{ "{\"spec\":{\"containers\":[null]}}", "spec.containers[0]: Invalid value: null: must be a value" },
		{ "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1x\"}}}]}}",
		  "limits[cpu]: Invalid value: \"1x\": quantities must match" },
		{ "{\"metadata\":{\"creationTimestamp\":\"yesterday\"}}", "must be a time" },
		{ "{\"metadata\":{\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"managedFields\":[{\"manager\":\"a\",\"fieldsV1\":{\"f:x\":{}}}]}}",
		  "" },
		{ "{\"metadata\":{\"labels\":{\"a\":true}}}",
		  "metadata.labels[a]: Invalid value: bool: must be a string" },
		{ "[]", "Invalid value: array: must be an object" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct api_errs errs = { 0 };
		json_t *o = from_json(t[i].obj);
		char said[2048];

		api_check(&api_type_pod, o, &errs);
		errs_text(&errs, said, sizeof(said));
		cr_assert(strstr(said, t[i].want), "case %zu: %s", i, said);
		cr_assert(*t[i].want || !errs.n, "case %zu: %s", i, said);
		api_errs_done(&errs);
		json_decref(o);
	}
}

static void check_default(const struct api_kind *kind, const char *in, const char *path, const char *want)
{
	json_t *o = from_json(in), *again, *v, *expected = from_json(want);
	char *got;

	api_prune(kind->type, o);
	api_default(kind, o);
	v = api_get(o, path);
	got = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	cr_assert(v && json_equal(v, expected), "%s: %s, not %s", path, got ? got : "absent", want);
	again = json_deep_copy(o);
	api_default(kind, again);
	cr_assert(json_equal(o, again), "%s: not idempotent", path);
	free(got);
	json_decref(again);
	json_decref(expected);
	json_decref(o);
}

Test(api_default, computed_and_constant)
{
	static const struct {
		const char *image, *policy;
	} images[] = {
		{ "a", "\"Always\"" },
		{ "a:latest", "\"Always\"" },
		{ "a:1", "\"IfNotPresent\"" },
		{ "r:5000/a", "\"Always\"" },
		{ "r:5000/a:1", "\"IfNotPresent\"" },
		{ "a@sha256:00", "\"IfNotPresent\"" },
		{ "a:latest@sha256:00", "\"Always\"" },
	};

	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		char in[256];

		snprintf(in, sizeof(in), "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}}",
			 images[i].image);
		check_default(&api_kind_pod, in, "spec.containers[0].imagePullPolicy", images[i].policy);
	}
	check_default(
		&api_kind_pod, POD_C("\"resources\":{\"limits\":{\"cpu\":1.5,\"memory\":\"1024Mi\"}}"),
		"spec.containers[0].resources",
		"{\"limits\":{\"cpu\":\"1500m\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"1500m\",\"memory\":\"1Gi\"}}");
	check_default(
		&api_kind_pod, POD_C("\"livenessProbe\":{\"httpGet\":{\"port\":1}}"),
		"spec.containers[0].livenessProbe",
		"{\"httpGet\":{\"port\":1,\"path\":\"/\",\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":10,"
		"\"successThreshold\":1,\"failureThreshold\":3}");
	check_default(&api_kind_pod, POD("\"containers\":[]"), "spec.terminationGracePeriodSeconds", "30");
	check_default(&api_kind_pod, POD("\"volumes\":[{\"name\":\"v\"}]"), "spec.volumes[0].emptyDir", "{}");
	check_default(
		&api_kind_service, DEPLOY("\"ports\":[{\"port\":80}]"), "spec",
		"{\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80}],\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\","
		"\"internalTrafficPolicy\":\"Cluster\"}");
	check_default(
		&api_kind_deployment, DEPLOY(SEL_A "," TMPL_A), "spec.strategy",
		"{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\",\"maxSurge\":\"25%\"}}");
	check_default(&api_kind_deployment, DEPLOY(SEL_A "," TMPL_A), "spec.replicas", "1");
	check_default(&api_kind_network_policy, DEPLOY("\"egress\":[{}]"), "spec.policyTypes",
		      "[\"Ingress\",\"Egress\"]");
	check_default(&api_kind_network_policy, DEPLOY("\"podSelector\":{}"), "spec.policyTypes", "[\"Ingress\"]");
	check_default(&api_kind_namespace, "{\"metadata\":{\"name\":\"x\"}}", "metadata.labels",
		      "{\"kubernetes.io/metadata.name\":\"x\"}");
	check_default(&api_kind_secret, "{" META ",\"stringData\":{\"a\":\"b\"}}", "data", "{\"a\":\"Yg==\"}");
}
