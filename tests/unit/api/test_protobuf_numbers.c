/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema's protobuf numbers against Kubernetes' own: every field of every type by table, and some whole objects as
 * a Go client writes them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api-internal.h"
#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "protobuf_numbers.h"

struct number {
	char name[80];
	unsigned number;
	char message[80]; /* "": a scalar or map */
};

static const char *numbers_of(const char *type)
{
	for (size_t i = 0; i < sizeof(protobuf_numbers) / sizeof(protobuf_numbers[0]); i++)
		if (!strcmp(protobuf_numbers[i].type, type))
			return protobuf_numbers[i].fields;
	return NULL;
}

/* The next of "name=1 other=2:Message"; false at the end. */
static bool next_number(const char **at, struct number *ret)
{
	int n = 0;

	*ret = (struct number){ 0 };
	*at += strspn(*at, " ");
	if (!**at)
		return false;
	cr_assert(sscanf(*at, "%79[^=]=%u%n", ret->name, &ret->number, &n) == 2);
	*at += n;
	if (**at == ':') {
		cr_assert(sscanf(*at, ":%79[^ ]%n", ret->message, &n) == 1);
		*at += n;
	}
	return true;
}

static bool find_number(const char *list, unsigned number, struct number *ret)
{
	while (next_number(&list, ret))
		if (ret->number == number)
			return true;
	return false;
}

/* The schema's name of a type and Kubernetes' differ in the package of some; messages within one are named alone. */
static const char *inner_numbers(const struct api_type *type, const char *message)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", type->package, message);
	return numbers_of(name);
}

static const struct api_field *field_numbered(const struct api_type *type, unsigned number)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].pb == number || type->fields[i].pb >> 8 == number)
			return &type->fields[i];
	return NULL;
}

static void compare(const struct api_type *type, const char *numbers)
{
	const char *at = numbers;
	struct number n, inner;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		const char *list = numbers;
		unsigned number = f->pb;

		if (!number)
			continue; /* kind and apiVersion are the envelope's */
		if (number > 255) {
			cr_expect(find_number(numbers, number >> 8, &n) && n.message[0],
				  "%s.%s: %u is no message upstream", type->name, f->name, number >> 8);
			list = inner_numbers(type, n.message);
			number &= 255;
		}
		cr_expect(list && find_number(list, number, &inner) && !strcasecmp(inner.name, f->name), /* Webhooks */
			  "%s.%s is not upstream's number %u", type->name, f->name, number);
	}
	while (next_number(&at, &n))
		cr_expect(field_numbered(type, n.number),
			  "%s lacks %s, number %u: describe it, if only to refuse it by name", type->name, n.name,
			  n.number);
}

Test(protobuf_numbers, are_upstreams)
{
	size_t compared = 0;

	for (const struct api_type *const *t = api_type_table; *t; t++) {
		char name[256];
		const char *numbers;

		snprintf(name, sizeof(name), "%s.%s", (*t)->package, (*t)->name);
		numbers = numbers_of(name);
		if (!numbers)
			continue; /* Skep's own, or of a part of Kubernetes that kubectl does not carry */
		compare(*t, numbers);
		compared++;
	}
	cr_assert(compared > 150, "%zu", compared);
}

static const struct {
	const char *hex, *json;
} encodings[] = {
	{ "6b3873000a0d0a02763112075365727669636512440a030a0173123d0a110a01701850220a080110001a04687474708a"
	  "010f5072656665724475616c537461636bb20107436c7573746572ba010b507265666572436c6f73651a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{"
	  "\"name\":\"p\",\"port\":80,\"targetPort\":\"http\"}],\"ipFamilyPolicy\":\"PreferDualStack\",\"in"
	  "ternalTrafficPolicy\":\"Cluster\",\"trafficDistribution\":\"PreferClose\"}}" },
	{ "6b3873000a160a027631121050657273697374656e74566f6c756d65124b0a030a017612440a100a0773746f72616765"
	  "12050a0331476912092a070a017312022f781a0d5265616457726974654d616e793204736c6f774a100a0e0a0c0a0a0a"
	  "016b1202496e1a01781a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{\"name\":\"v\"},\"spec\":{\"c"
	  "apacity\":{\"storage\":\"1Gi\"},\"nfs\":{\"server\":\"s\",\"path\":\"/x\"},\"accessModes\":[\"Re"
	  "adWriteMany\"],\"storageClassName\":\"slow\",\"nodeAffinity\":{\"required\":{\"nodeSelectorTerms"
	  "\":[{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"x\"]}]}]}}}}" },
	{ "6b3873000a1b0a027631121550657273697374656e74566f6c756d65436c61696d123a0a030a016312330a0d52656164"
	  "57726974654f6e6365121212100a0773746f7261676512050a033147691a01762a04736c6f773205426c6f636b1a0022"
	  "00",
	  "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"c\"},\"spec\""
	  ":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}},\"volum"
	  "eName\":\"v\",\"storageClassName\":\"slow\",\"volumeMode\":\"Block\"}}" },
	{ "6b3873000a0f0a0276311209456e64706f696e747312220a030a0165121b0a0d0a0831302e302e302e3122016e1a0a0a"
	  "017010501a035544501a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"e\"},\"subsets\":[{\"addr"
	  "esses\":[{\"ip\":\"10.0.0.1\",\"nodeName\":\"n\"}],\"ports\":[{\"name\":\"p\",\"port\":80,\"prot"
	  "ocol\":\"UDP\"}]}]}" },
	{ "6b3873000a160a07617070732f7631120b537461746566756c53657412650a030a0177125e080212080a060a01611201"
	  "621a160a085a060a0161120162120a12080a01631203693a312a01733208506172616c6c656c3a130a0d526f6c6c696e"
	  "6755706461746512020801480352100a0644656c657465120652657461696e5a0208051a002200",
	  "{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"w\"},\"spec\":{\"r"
	  "eplicas\":2,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":"
	  "{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}},\"serviceName\":"
	  "\"s\",\"podManagementPolicy\":\"Parallel\",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"roll"
	  "ingUpdate\":{\"partition\":1}},\"minReadySeconds\":3,\"persistentVolumeClaimRetentionPolicy\":{"
	  "\"whenDeleted\":\"Delete\",\"whenScaled\":\"Retain\"},\"ordinals\":{\"start\":5}}}" },
	{ "6b3873000a140a07617070732f763112094461656d6f6e53657412510a030a0164124a0a080a060a016112016212160a"
	  "085a060a0161120162120a12080a01631203693a311a240a0d526f6c6c696e6755706461746512130a09080110001a03"
	  "3130251206080010011a0030041a002200",
	  "{\"apiVersion\":\"apps/v1\",\"kind\":\"DaemonSet\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"sel"
	  "ector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\""
	  "spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}},\"updateStrategy\":{\"type\":\"Rol"
	  "lingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"10%\",\"maxSurge\":1}},\"revisionHistoryLim"
	  "it\":4}}" },
	{ "6b3873000a1d0a07617070732f76311212436f6e74726f6c6c65725265766973696f6e121d0a030a017212140a127b22"
	  "73706563223a7b2278223a5b315d7d7d18071a002200",
	  "{\"apiVersion\":\"apps/v1\",\"kind\":\"ControllerRevision\",\"metadata\":{\"name\":\"r\"},\"data"
	  "\":{\"spec\":{\"x\":[1]}},\"revision\":7}" },
	{ "6b3873000a0f0a0862617463682f763112034a6f62125d0a030a016a1256080210033213121112080a01631203693a31"
	  "1a054e65766572380440094a07496e646578656450015a160a140a074661696c4a6f6212091202496e180118ac026001"
	  "680272064661696c65648201070a050a03302d311a002200",
	  "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"j\"},\"spec\":{\"parallel"
	  "ism\":2,\"completions\":3,\"backoffLimit\":4,\"template\":{\"spec\":{\"restartPolicy\":\"Never\""
	  ",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}},\"ttlSecondsAfterFinished\":9,\"completio"
	  "nMode\":\"Indexed\",\"suspend\":true,\"podFailurePolicy\":{\"rules\":[{\"action\":\"FailJob\",\""
	  "onExitCodes\":{\"operator\":\"In\",\"values\":[1,300]}}]},\"backoffLimitPerIndex\":1,\"maxFailed"
	  "Indexes\":2,\"podReplacementPolicy\":\"Failed\",\"successPolicy\":{\"rules\":[{\"succeededIndexe"
	  "s\":\"0-1\"}]}}}" },
	{ "6b3873000a130a0862617463682f7631120743726f6e4a6f62124b0a030a016a12440a092a202a202a202a202a10081a"
	  "06466f726269642a240a085a060a0178120179121832160a085a060a0161120162120a12080a01631203693a31420745"
	  "74632f5554431a002200",
	  "{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\",\"metadata\":{\"name\":\"j\"},\"spec\":{\"sche"
	  "dule\":\"* * * * *\",\"startingDeadlineSeconds\":8,\"concurrencyPolicy\":\"Forbid\",\"jobTemplat"
	  "e\":{\"metadata\":{\"labels\":{\"x\":\"y\"}},\"spec\":{\"template\":{\"metadata\":{\"labels\":{"
	  "\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}},\"timeZone\":\"E"
	  "tc/UTC\"}}" },
	{ "6b3873000a290a0e6175746f7363616c696e672f76321217486f72697a6f6e74616c506f644175746f7363616c657212"
	  "6c0a030a016812650a180a0a4465706c6f796d656e741201641a07617070732f763110021805222e0a11436f6e746169"
	  "6e65725265736f757263653a190a03637075120f0a0b5574696c697a6174696f6e203c1a01632a1512130a034d696e12"
	  "0a0a04506f64731001181e183c1a002200",
	  "{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":"
	  "\"h\"},\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\",\"apiVersion\":\"app"
	  "s/v1\"},\"minReplicas\":2,\"maxReplicas\":5,\"metrics\":[{\"type\":\"ContainerResource\",\"conta"
	  "inerResource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":60}"
	  ",\"container\":\"c\"}}],\"behavior\":{\"scaleDown\":{\"selectPolicy\":\"Min\",\"policies\":[{\"t"
	  "ype\":\"Pods\",\"value\":1,\"periodSeconds\":30}],\"stabilizationWindowSeconds\":60}}}}" },
	{ "6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e427564676574123a0a030a0170122212"
	  "080a060a01611201621a09080110001a03353025220b416c77617973416c6c6f771a0f120d0a0178120808a5facdac06"
	  "10001a002200",
	  "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"p\"},\"s"
	  "pec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"maxUnavailable\":\"50%\",\"unhealthyPodEvi"
	  "ctionPolicy\":\"AlwaysAllow\"},\"status\":{\"disruptedPods\":{\"x\":\"2024-01-02T03:04:05Z\"}}}" },
	{ "6b3873000a150a09706f6c6963792f763112084576696374696f6e120e0a030a01701207080512030a01751a002200",
	  "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"p\"},\"deleteOption"
	  "s\":{\"gracePeriodSeconds\":5,\"preconditions\":{\"uid\":\"u\"}}}" },
	{ "6b3873000a1f0a146e6574776f726b696e672e6b38732e696f2f76311207496e677265737312330a030a0169122c1206"
	  "0a01681201731a1f0a0168121a0a180a160a012f120922070a0173120210501a065072656669782201631a002200",
	  "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"metadata\":{\"name\":\"i\"},\"sp"
	  "ec\":{\"ingressClassName\":\"c\",\"tls\":[{\"hosts\":[\"h\"],\"secretName\":\"s\"}],\"rules\":[{"
	  "\"host\":\"h\",\"http\":{\"paths\":[{\"path\":\"/\",\"pathType\":\"Prefix\",\"backend\":{\"servi"
	  "ce\":{\"name\":\"s\",\"port\":{\"number\":80}}}}]}}]}}" },
	{ "6b3873000a240a146e6574776f726b696e672e6b38732e696f2f7631120c496e6772657373436c61737312270a030a01"
	  "6912200a05612e622f6312170a016712014b1a016e22094e616d6573706163652a01781a002200",
	  "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"IngressClass\",\"metadata\":{\"name\":\"i\"}"
	  ",\"spec\":{\"controller\":\"a.b/c\",\"parameters\":{\"apiGroup\":\"g\",\"kind\":\"K\",\"name\":"
	  "\"n\",\"scope\":\"Namespace\",\"namespace\":\"x\"}}}" },
	{ "6b3873000a210a1173746f726167652e6b38732e696f2f7631120c53746f72616765436c61737312330a030a01731205"
	  "612e622f631a060a0178120179220652657461696e30013a09496d6d65646961746542080a060a016b1201761a002200",
	  "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\",\"metadata\":{\"name\":\"s\"},\""
	  "provisioner\":\"a.b/c\",\"parameters\":{\"x\":\"y\"},\"reclaimPolicy\":\"Retain\",\"allowVolumeE"
	  "xpansion\":true,\"volumeBindingMode\":\"Immediate\",\"allowedTopologies\":[{\"matchLabelExpressi"
	  "ons\":[{\"key\":\"k\",\"values\":[\"v\"]}]}]}" },
	{ "6b3873000a1e0a1173746f726167652e6b38732e696f2f7631120943534944726976657212220a030a0164121b08011a"
	  "09457068656d6572616c2a0446696c6532060a016110d8041a002200",
	  "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"CSIDriver\",\"metadata\":{\"name\":\"d\"},\"spe"
	  "c\":{\"attachRequired\":true,\"volumeLifecycleModes\":[\"Ephemeral\"],\"fsGroupPolicy\":\"File\""
	  ",\"tokenRequests\":[{\"audience\":\"a\",\"expirationSeconds\":600}]}}" },
	{ "6b3873000a1c0a1173746f726167652e6b38732e696f2f763112074353494e6f646512160a030a016e120f0a0d0a0164"
	  "1201691a016b220208031a002200",
	  "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"CSINode\",\"metadata\":{\"name\":\"n\"},\"spec"
	  "\":{\"drivers\":[{\"name\":\"d\",\"nodeID\":\"i\",\"topologyKeys\":[\"k\"],\"allocatable\":{\"co"
	  "unt\":3}}]}}" },
	{ "6b3873000a250a1173746f726167652e6b38732e696f2f76311210566f6c756d654174746163686d656e74121d0a030a"
	  "016e120b0a016412030a01761a01781a0908011a0512016d18051a002200",
	  "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"VolumeAttachment\",\"metadata\":{\"name\":\"n\""
	  "},\"spec\":{\"attacher\":\"d\",\"source\":{\"persistentVolumeName\":\"v\"},\"nodeName\":\"x\"},"
	  "\"status\":{\"attached\":true,\"attachError\":{\"message\":\"m\",\"errorCode\":5}}}" },
	{ "6b3873000a240a13646973636f766572792e6b38732e696f2f7631120d456e64706f696e74536c69636512290a030a01"
	  "6512150a0831302e302e302e311202080142050a030a017a1a050a017018502204495076341a002200",
	  "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"e\"}"
	  ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"conditions\":{\"ready\""
	  ":true},\"hints\":{\"forZones\":[{\"name\":\"z\"}]}}],\"ports\":[{\"name\":\"p\",\"port\":80}]}" },
	{ "6b3873000a0a0a02763112044e6f646512470a030a016e122a0a0b31302e312e302e302f32342a0e0a016b1a094e6f45"
	  "7865637574653a0b31302e312e302e302f32341a1432050a03088a503a0b3a0276315205616d6436341a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"},\"spec\":{\"podCIDR\":\"1"
	  "0.1.0.0/24\",\"podCIDRs\":[\"10.1.0.0/24\"],\"taints\":[{\"key\":\"k\",\"effect\":\"NoExecute\"}"
	  "]},\"status\":{\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":10250}},\"nodeInfo\":{\"kubele"
	  "tVersion\":\"v1\",\"architecture\":\"amd64\"}}}" },
};

static unsigned char *unhex(const char *hex, size_t *ret_len)
{
	size_t n = strlen(hex) / 2;
	unsigned char *out = malloc(n);

	for (size_t i = 0; i < n; i++) {
		unsigned byte = 0;

		cr_assert(sscanf(hex + 2 * i, "%2x", &byte) == 1);
		out[i] = (unsigned char)byte;
	}
	*ret_len = n;
	return out;
}

Test(protobuf_numbers, objects_of_go_clients_are_read)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		json_t *got = NULL, *want = json_loads(encodings[i].json, 0, NULL);
		cleanup(free) char *text = NULL;
		struct err err = ERR_INIT;
		size_t len;
		cleanup(free) unsigned char *bytes = unhex(encodings[i].hex, &len);

		cr_assert(want, "case %zu", i);
		cr_assert(api_protobuf_parse(bytes, len, &got, &err) == 0, "case %zu: %s", i, err.msg);
		text = json_dumps(got, JSON_SORT_KEYS);
		/* What is refused has no contents here: that it is there is all there is to say. */
		cr_assert(json_equal(got, want), "case %zu: %s\nnot %s", i, text, encodings[i].json);
		json_decref(got);
		json_decref(want);
	}
}
