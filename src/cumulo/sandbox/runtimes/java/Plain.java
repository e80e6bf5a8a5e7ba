package cumulo.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Plain JSON values, made of what a function returned: beans, records, collections, dates. */
final class Plain {
    private static final int DEPTH_MAX = 200;

    private Plain() {}

    static Object of(Object value) throws ReflectiveOperationException {
        return of(value, 0);
    }

    private static Object of(Object value, int depth) throws ReflectiveOperationException {
        if (depth > DEPTH_MAX) {
            throw new IllegalArgumentException("An error occurred during serialization of output: it is nested too deeply");
        }
        if (value == null || value instanceof String || value instanceof Number || value instanceof Boolean) {
            return value;
        }
        if (value instanceof Enum) {
            return ((Enum<?>) value).name();
        }
        if (value instanceof CharSequence || value instanceof Character || value instanceof java.time.temporal.Temporal) {
            return value.toString();
        }
        if (value instanceof Date) {
            return ((Date) value).getTime();
        }
        if (value instanceof byte[]) {
            return java.util.Base64.getEncoder().encodeToString((byte[]) value);
        }
        if (value instanceof java.nio.ByteBuffer) {
            java.nio.ByteBuffer buffer = ((java.nio.ByteBuffer) value).duplicate();
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            return java.util.Base64.getEncoder().encodeToString(bytes);
        }
        if (value instanceof Map) {
            Map<String, Object> map = new LinkedHashMap<String, Object>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                map.put(String.valueOf(entry.getKey()), of(entry.getValue(), depth + 1));
            }
            return map;
        }
        if (value instanceof Iterable || value.getClass().isArray()) {
            return plainList(value, depth);
        }
        boolean isJavas = value.getClass().getName().startsWith("java."); // UUID, URI: no beans, and closed to us
        return isJavas ? value.toString() : plainBean(value, depth);
    }

    private static List<Object> plainList(Object value, int depth) throws ReflectiveOperationException {
        List<Object> list = new ArrayList<Object>();
        if (value instanceof Iterable) {
            for (Object item : (Iterable<?>) value) {
                list.add(of(item, depth + 1));
            }
            return list;
        }
        for (int i = 0; i < Array.getLength(value); i++) {
            list.add(of(Array.get(value, i), depth + 1));
        }
        return list;
    }

    private static Map<String, Object> plainBean(Object value, int depth) throws ReflectiveOperationException {
        Map<String, Object> bean = new LinkedHashMap<String, Object>();
        if (Beans.isRecord(value.getClass())) {
            for (Field field : Beans.recordFields(value.getClass())) {
                Method accessor = value.getClass().getDeclaredMethod(field.getName());
                bean.put(field.getName(), of(Beans.call(accessor, value), depth + 1));
            }
            return bean;
        }
        for (Field field : value.getClass().getFields()) {
            if (!Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                bean.put(field.getName(), of(field.get(value), depth + 1));
            }
        }
        for (Method method : value.getClass().getMethods()) {
            String name = propertyOf(method);
            if (name != null) {
                bean.put(name, of(Beans.call(method, value), depth + 1));
            }
        }
        return bean;
    }

    private static String propertyOf(Method method) {
        String name = method.getName();
        if (method.getParameterCount() != 0
                || Modifier.isStatic(method.getModifiers())
                || method.getDeclaringClass() == Object.class
                || method.isBridge()) {
            return null;
        }
        Class<?> result = method.getReturnType();
        if (name.length() > 3 && name.startsWith("get") && result != void.class) {
            return Beans.decapitalized(name.substring(3));
        }
        boolean yesOrNo = result == boolean.class || result == Boolean.class;
        return name.length() > 2 && name.startsWith("is") && yesOrNo ? Beans.decapitalized(name.substring(2)) : null;
    }
}
